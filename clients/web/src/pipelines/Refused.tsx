/** What the server refused, or what went wrong on the way, where it was asked for. */
import { Alert } from "@mantine/core";

import { reason } from "../server";
import { useText } from "../text/language";
import styles from "./Pipelines.module.css";

export function Refused({ error }: { error: unknown }) {
  const text = useText();
  if (error === null || error === undefined) return null;
  return (
    <Alert color="red" title={text("notDone")} role="alert">
      <div className={styles.text}>{reason(error)}</div>
    </Alert>
  );
}
