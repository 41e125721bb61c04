/** What an action failed for, each with its error in words. */
import { Alert, List } from "@mantine/core";

import { reason } from "../server";
import { useText } from "../text/language";
import styles from "./actions.module.css";
import type { Action } from "./fits";

interface Props {
  readonly action: Action;
  readonly failures: readonly { readonly id: string; readonly name: string; readonly error: unknown }[];
  readonly close: () => void;
}

export function Failures({ action, failures, close }: Props) {
  const text = useText();
  if (failures.length === 0) return null;
  return (
    <Alert
      color="red"
      role="alert"
      title={`${text(action)} – ${text("failedFor")}: ${failures.length}`}
      withCloseButton
      closeButtonLabel={text("close")}
      onClose={close}
    >
      <List size="sm" className={styles.names}>
        {failures.map(({ id, name, error }) => (
          <List.Item key={id} className={styles.name}>
            <bdi title={name}>{name}</bdi>
            {reason(error)}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}
