/** One experiment of the list, with its last run. */
import { Anchor, Group, Table, Text } from "@mantine/core";
import type { Experiment } from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";
import { RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { Link } from "@tanstack/react-router";

import { Archived } from "../components/Archived";
import { State, Time } from "../components/facts";
import { useNamespace } from "../components/namespace";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { millis } from "../time";
import { ExperimentButtons } from "./ExperimentButtons";
import styles from "./experiments.module.css";
import { isArchived, useLastRun } from "./queries";
import type { Order } from "./useExperimentActions";

interface Props {
  readonly experiment: Experiment;
  readonly pending: boolean;
  readonly act: (order: Order) => void;
}

export function ExperimentRow({ experiment, pending, act }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const last = useLastRun(experiment);
  const run = last.data?.run;
  const state = run ? (RuntimeState[run.state] ?? "") : "";
  return (
    <Table.Tr>
      <Table.Td>
        <Group gap="xs" wrap="nowrap">
          <Anchor
            renderRoot={(props) => (
              <Link
                {...props}
                to="/experiments/$experimentId"
                params={{ experimentId: experiment.experimentId }}
                search={namespace}
              />
            )}
            className={styles.name}
            title={experiment.displayName}
          >
            <bdi>{experiment.displayName}</bdi>
          </Anchor>
          {isArchived(experiment) ? <Archived /> : null}
        </Group>
        <Text size="sm" c="dimmed" className={styles.description}>
          {experiment.description}
        </Text>
      </Table.Td>
      <Table.Td className={styles.time}>
        {run ? (
          <Link
            to="/runs/$runId"
            params={{ runId: run.runId }}
            search={namespace}
            className={styles.last}
            aria-label={`${text("lastRun")}: ${run.displayName}, ${text(state as Key)}`}
          >
            <State state={state} />
          </Link>
        ) : null}{" "}
        <Time at={millis(experiment.lastRunCreatedAt)} />
      </Table.Td>
      <Table.Td>{last.data ? last.data.total : last.isEnabled ? "" : 0}</Table.Td>
      <Table.Td className={styles.time}>
        <Time at={millis(experiment.createdAt)} />
      </Table.Td>
      <Table.Td>
        <ExperimentButtons {...{ experiment, pending, act }} />
      </Table.Td>
    </Table.Tr>
  );
}
