/** The chosen task: its state, why it is in it, what it took and gave, and its log. */
import { Alert, Button, CloseButton, Code, Group, List, Stack, Text, Title } from "@mantine/core";
import type { JsonObject } from "@bufbuild/protobuf";
import type { ArtifactNames, Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { useState } from "react";

import { ArtifactLinks } from "../artifacts/ArtifactLinks";
import { Attempts } from "../attempts/Attempts";
import { Duration, Failure, State, Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import { CacheAnswer } from "./CacheAnswer";
import { PodDetails } from "./PodDetails";
import { useExplanation } from "./queries";
import styles from "./RunPage.module.css";
import type { Seen } from "./seen";
import { TaskLog } from "./TaskLog";
import { Unfold } from "./Unfold";

interface Props {
  readonly runId: string;
  readonly seen: Seen;
  readonly task: Task;
  readonly close: () => void;
}

export function TaskPanel({ runId, seen, task, close }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const why = useExplanation(runId, task.path, task.state);
  // Who opens a task that failed asks for its log.
  const [logIsShown, showLog] = useState(task.kind === "container" && task.state === "FAILED");
  const started = millis(task.startedAt);
  const finished = millis(task.finishedAt);
  return (
    <aside className={styles.panel} aria-label={text("task")}>
      <Stack gap="sm">
        <Group justify="space-between" align="start" wrap="nowrap">
          <Title order={3} size="h4" lineClamp={3}>
            {task.displayName || task.name}
          </Title>
          <CloseButton aria-label={text("close")} onClick={close} />
        </Group>
        {task.path === (task.displayName || task.name) ? null : (
          <Text size="sm" c="dimmed" lineClamp={3}>
            {task.path}
          </Text>
        )}
        <Group>
          <State state={task.state} />
          <Time at={started} />
          {finished ? <Duration of={lasted(started, finished, finished)} /> : null}
        </Group>
        {task.waiting ? <Text>{task.waiting}</Text> : null}
        {task.error ? (
          <Alert color="red" title={text("error")}>
            <div className={styles.error} tabIndex={0} role="region" aria-label={text("error")}>
              <div>{task.error}</div>
            </div>
          </Alert>
        ) : null}
        {task.kind === "container" ? (
          <Button variant="default" onClick={() => showLog(!logIsShown)}>
            {text(logIsShown ? "hideLog" : "showLog")}
          </Button>
        ) : null}
        {logIsShown ? <TaskLog runId={runId} path={task.path} attempts={task.attempts} /> : null}
        <Title order={4} size="h5">
          {text("why")}
        </Title>
        {why.error ? <Failure error={why.error} /> : null}
        <Text className={styles.why}>{unsaid(why.data?.summary ?? "", task.error)}</Text>
        {why.data && why.data.reasons.length > 0 ? (
          <List size="sm">
            {why.data.reasons.map((reason, index) => (
              <List.Item key={index}>{reason.text}</List.Item>
            ))}
          </List>
        ) : null}
        <Attempts {...{ runId, seen }} count={task.attempts} said={task} />
        <Values title={text("inputs")} values={task.inputs} artifacts={task.inputArtifacts} />
        <Values title={text("outputs")} values={task.outputs} artifacts={task.outputArtifacts} />
        {task.kind === "container" || task.kind === "importer" ? (
          <TextLink size="sm" to="/lineage" search={{ ...namespace, run: runId, task: task.path }}>
            {text("lineage")}
          </TextLink>
        ) : null}
        {task.kind === "container" ? (
          <Unfold label={text("cacheAnswer")}>
            {() => <CacheAnswer runId={runId} path={task.path} state={task.state} />}
          </Unfold>
        ) : null}
        {task.podName ? (
          <Unfold label={text("pod")}>
            {() => <PodDetails runId={runId} podName={task.podName} state={task.state} />}
          </Unfold>
        ) : null}
      </Stack>
    </aside>
  );
}

/** Of what the server says of why, what is not in the error that stands above. */
function unsaid(summary: string, error: string): string {
  return error && summary.startsWith(error) ? summary.slice(error.length).replace(/^; /, "") : summary;
}

interface ValuesProps {
  readonly title: string;
  readonly values: JsonObject | undefined;
  readonly artifacts: Readonly<Record<string, ArtifactNames>>;
}

function Values({ title, values, artifacts }: ValuesProps) {
  const shown = Object.entries(values ?? {}).map(([name, value]) => [name, JSON.stringify(value, null, 1)] as const);
  const ports = Object.entries(artifacts);
  if (shown.length === 0 && ports.length === 0) return null;
  return (
    <section>
      <Title order={4} size="h5">
        {title}
      </Title>
      {shown.map(([name, value]) => (
        <div key={name}>
          <Text size="sm">{name}</Text>
          <Code block>{value}</Code>
        </div>
      ))}
      {ports.map(([port, { names }]) => (
        <ArtifactLinks key={port} port={port} names={names} />
      ))}
    </section>
  );
}
