/** The artifacts of a port, each as a link that opens its preview beside the run. */
import { Anchor, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { runSearch } from "../search";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Artifacts.module.css";

// A loop may have collected thousands.
const MOST = 50;

export function ArtifactLinks({ port, names }: { port: string; names: readonly string[] }) {
  const text = useText();
  return (
    <>
      {names.slice(0, MOST).map((name, index) => (
        <Anchor
          key={name}
          size="sm"
          title={name}
          className={styles.link}
          renderRoot={(props: object) => (
            <Link
              {...props}
              from="/runs/$runId"
              to="."
              search={(old) => runSearch({ ...old, artifact: name, from: 0 })}
            />
          )}
        >
          {names.length === 1 ? port : `${port} [${index}]`}
        </Anchor>
      ))}
      {names.length > MOST ? (
        <Text size="sm">{fill(text("furtherArtifacts"), { count: names.length - MOST })}</Text>
      ) : null}
    </>
  );
}
