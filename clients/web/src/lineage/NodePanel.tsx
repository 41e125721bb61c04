/** The chosen card of a lineage: the artifact with its preview, or the task, and the ways on from there. */
import { Button, CloseButton, Group, Stack, Text, Title } from "@mantine/core";
import type { LineageTask } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { ReactNode } from "react";

import { ArtifactFacts } from "../artifacts/ArtifactFacts";
import facts from "../artifacts/Artifacts.module.css";
import { State, Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useRun } from "../run/queries";
import styles from "../run/RunPage.module.css";
import { Parameters } from "../runs/Parameters";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { millis } from "../time";
import { titleOf, type Node } from "./graph";

interface Props {
  readonly node: Node;
  readonly from: number;
  readonly turn: (from: number) => void;
  readonly close: () => void;
  /** Makes it the middle of the graph; not for what is. */
  readonly goTo: (() => void) | undefined;
}

export function NodePanel({ node, from, turn, close, goTo }: Props) {
  const text = useText();
  const ways = goTo ? (
    <Button size="xs" variant="default" onClick={goTo}>
      {text("goToLineage")}
    </Button>
  ) : null;
  const artifact = node.kind === "artifact" ? node.found.artifact : undefined;
  return (
    <aside className={styles.panel} aria-label={titleOf(node)}>
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm" c="dimmed">
          {text(node.kind)}
        </Text>
        <CloseButton aria-label={text("close")} onClick={close} />
      </Group>
      {artifact?.runId ? <MadeIn runId={artifact.runId} /> : null}
      {artifact?.runId ? <ArtifactFacts name={artifact.name} from={from} turn={turn} ways={ways} /> : null}
      {artifact?.runId === "" ? (
        <Stack gap="sm" align="flex-start">
          <Title order={3} size="h4">
            {artifact.name}
          </Title>
          <Text>{text("makerDeletedMeans")}</Text>
        </Stack>
      ) : null}
      {node.kind === "task" ? <TaskFacts task={node.found} ways={ways} /> : null}
    </aside>
  );
}

function TaskFacts({ task, ways }: { task: LineageTask; ways: ReactNode }) {
  const text = useText();
  const namespace = useNamespace();
  return (
    <Stack gap="sm">
      <Title order={3} size="h4" lineClamp={3}>
        {task.displayName || task.path}
      </Title>
      <dl className={facts.facts}>
        <dt>{text("state")}</dt>
        <dd>
          <State state={task.state} />
        </dd>
        <dt>{text("kind")}</dt>
        <dd>{text(task.kind as Key)}</dd>
        <dt>{text("run")}</dt>
        <dd>
          <TextLink inherit to="/runs/$runId" params={{ runId: task.runId }} search={namespace}>
            {task.runDisplayName || task.runId}
          </TextLink>
        </dd>
        <dt>{text("task")}</dt>
        <dd>
          <TextLink
            inherit
            to="/runs/$runId"
            params={{ runId: task.runId }}
            search={{ ...namespace, task: task.path }}
          >
            {task.path}
          </TextLink>
        </dd>
        <dt>{text("ended")}</dt>
        <dd>
          <Time at={millis(task.finishedAt)} />
        </dd>
      </dl>
      <Given runId={task.runId} />
      <Group>{ways}</Group>
    </Stack>
  );
}

/** The run that an artifact is of. */
function MadeIn({ runId }: { runId: string }) {
  const text = useText();
  const namespace = useNamespace();
  const run = useRun(runId);
  return (
    <Stack gap={2} mb="xs">
      <Text size="sm" className={styles.words}>
        {text("run")}:{" "}
        <TextLink inherit to="/runs/$runId" params={{ runId }} search={namespace}>
          {run.data?.displayName || runId}
        </TextLink>
      </Text>
      <Given runId={runId} />
    </Stack>
  );
}

function Given({ runId }: { runId: string }) {
  return <Parameters values={useRun(runId).data?.runtimeConfig?.parameters ?? {}} />;
}
