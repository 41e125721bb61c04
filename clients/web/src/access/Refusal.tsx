/** What went wrong: for want of a right in a sentence, since nothing is broken then; else as on every page. */
import { Text } from "@mantine/core";

import { Failure } from "../components/facts";
import { reason } from "../server";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import styles from "./Access.module.css";
import { isRefused } from "./queries";

interface Props {
  readonly error: unknown;
  /** What is said of a right that is missing. */
  readonly refused: Key;
}

export function Refusal({ error, refused }: Props) {
  const text = useText();
  if (!error) return null;
  if (!isRefused(error)) return <Failure error={error} />;
  return (
    <div role="status" className={styles.words}>
      <Text>{text(refused)}</Text>
      <Text size="sm" c="dimmed">
        {reason(error)}
      </Text>
    </div>
  );
}
