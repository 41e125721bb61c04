/** What is above the views of a run: its name and state, what it belongs to, and what may be done to it. */
import { Anchor, Group, Stack } from "@mantine/core";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { isArchived } from "../actions/fits";
import { RunActions } from "../actions/RunActions";
import { Archived } from "../components/Archived";
import { Duration, State, Time } from "../components/facts";
import { ButtonLink } from "../components/links";
import { useMay } from "../components/may";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
import { ExperimentLink } from "../experiments/ExperimentLink";
import { Labels } from "../runs/Labels";
import { Parameters } from "../runs/Parameters";
import { StartedBy } from "../schedules/StartedBy";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import styles from "./RunHead.module.css";

export function RunHead({ run, now }: { readonly run: Run; readonly now: number }) {
  const text = useText();
  const may = useMay();
  const namespace = useNamespace();
  const started = millis(run.createdAt);
  return (
    <Stack gap="xs">
      <Group justify="space-between" align="flex-start">
        <div className={styles.name}>
          <PageTitle name={run.displayName} />
        </div>
        <Group gap="xs" align="flex-start">
          {may("runs create") ? (
            <ButtonLink size="xs" variant="default" to="/start" search={{ clone: run.runId, ...namespace }}>
              {text("runAgain")}
            </ButtonLink>
          ) : null}
          <RunActions run={run} />
        </Group>
      </Group>
      <Group gap="sm" fz="sm">
        <State state={RuntimeState[run.state] ?? ""} />
        {isArchived(run) ? <Archived /> : null}
        <Time at={started} />
        <Duration of={lasted(started, millis(run.finishedAt), now)} />
        <ExperimentLink experimentId={run.experimentId} />
        {run.recurringRunId ? <StartedBy recurringRunId={run.recurringRunId} /> : null}
        <Labels labels={run.labels} />
        <Anchor size="sm" href={`/apis/penstock/v1/runs/${encodeURIComponent(run.runId)}/events`} download={`${run.runId}.jsonl`}>
          {text("eventLog")}
        </Anchor>
      </Group>
      <Parameters values={run.runtimeConfig?.parameters ?? {}} />
    </Stack>
  );
}
