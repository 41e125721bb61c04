/** The runs that an action failed for, each with its error in words. */
import { Alert, List } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { reason } from "../server";
import { useText } from "../text/language";
import styles from "./actions.module.css";
import type { Failure } from "./batch";
import type { Action } from "./fits";

interface Props {
  readonly action: Action;
  readonly failures: readonly Failure<Run>[];
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
        {failures.map(({ of: run, error }) => (
          <List.Item key={run.runId} className={styles.name}>
            <bdi title={run.displayName}>{run.displayName}</bdi>
            {reason(error)}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}
