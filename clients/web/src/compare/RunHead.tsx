/** The head of a run's column: which run it is, how it went, and what the comparison does with it. */
import { Button, Group, Stack, Table } from "@mantine/core";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { Duration, State, Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import styles from "./Compare.module.css";

interface Props {
  readonly run: Run;
  readonly now: number;
  readonly isBaseline: boolean;
  /** Makes it the baseline, or nothing when it is. */
  readonly toggleBaseline: () => void;
  readonly takeOut: () => void;
}

export function RunHead({ run, now, isBaseline, toggleBaseline, takeOut }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const { runId, displayName } = run;
  const start = millis(run.createdAt);
  return (
    <Table.Th scope="col" className={styles.run} data-baseline={isBaseline || undefined}>
      <Stack gap={6} align="flex-start">
        <TextLink
          to="/runs/$runId"
          params={{ runId }}
          search={namespace}
          title={displayName}
          className={styles.cut}
          maw="100%"
        >
          {displayName || runId}
        </TextLink>
        <State state={RuntimeState[run.state] ?? ""} />
        <Stack gap={0} fz="xs" className={styles.facts}>
          <Time at={start} />
          <Duration of={lasted(start, millis(run.finishedAt), now)} />
        </Stack>
        <Group gap={4} wrap="nowrap">
          <Button
            size="compact-xs"
            variant={isBaseline ? "filled" : "default"}
            aria-pressed={isBaseline}
            aria-label={`${text("baseline")}: ${displayName}`}
            onClick={toggleBaseline}
          >
            {text("baseline")}
          </Button>
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`${text("takeOut")}: ${displayName}`}
            onClick={takeOut}
          >
            {text("takeOut")}
          </Button>
        </Group>
      </Stack>
    </Table.Th>
  );
}
