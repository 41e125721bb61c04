/** What a page is called: its heading, and the document's title, by which tabs and history are told apart. */
import { Title } from "@mantine/core";
import { useEffect } from "react";

import styles from "./PageTitle.module.css";

const OWN = "Penstock";

export function PageTitle({ name }: { readonly name: string }) {
  useEffect(() => {
    document.title = `${name} – ${OWN}`;
    return () => {
      document.title = OWN;
    };
  }, [name]);
  return (
    <Title order={2} size="h3" title={name} lineClamp={3} className={styles.title}>
      {name}
    </Title>
  );
}
