/** What a page is called: its heading, and the document's title, by which tabs and history are told apart. */
import { Title } from "@mantine/core";
import { useEffect } from "react";

import styles from "./PageTitle.module.css";

const OWN = "Penstock";

/** `name` is undefined while it is not known yet. */
export function useDocumentName(name: string | undefined): void {
  useEffect(() => {
    document.title = name ? `${name} – ${OWN}` : OWN;
    return () => {
      document.title = OWN;
    };
  }, [name]);
}

export function PageTitle({ name }: { readonly name: string }) {
  useDocumentName(name);
  return (
    <Title order={2} size="h3" title={name} lineClamp={3} className={styles.title}>
      {name}
    </Title>
  );
}
