/** What a run would do with what is typed, as far as that can be known without running it. */
import { Alert, Badge, Group, List, Stack, Table, Text, Title } from "@mantine/core";
import type { PlanPipelineResponse, Problem } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { COLOURS, Failure, Loading } from "../components/facts";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { decisions, linesOf } from "./plan";
import { PlanLine } from "./PlanLine";
import styles from "./Start.module.css";

interface Props {
  readonly plan: PlanPipelineResponse | undefined;
  readonly error: unknown;
  /** Names of the inputs that are wrong: as long as there are some, there is no plan. */
  readonly wrong: readonly string[];
  /** What is wrong at no input. */
  readonly problems: readonly Problem[];
  /** The plan is of what was typed before. */
  readonly old: boolean;
  readonly cachingIsOff: boolean;
}

export function Plan({ plan, error, wrong, problems, old, cachingIsOff }: Props) {
  const text = useText();
  return (
    <Stack component="section" className={styles.plan} aria-label={text("plan")} aria-busy={old}>
      <div>
        <Title order={3} size="h4">
          {text("plan")}
        </Title>
        <Text size="sm" c="dimmed">
          {text("planHint")}
        </Text>
      </div>
      {wrong.length > 0 ? (
        <Alert color="blue" title={text("planWaits")} role="status">
          <div className={styles.text}>{wrong.join(", ")}</div>
        </Alert>
      ) : null}
      {error ? <Failure error={error} /> : null}
      {problems.length > 0 ? (
        <Alert color="red" title={text("planFails")} role="alert">
          <List size="sm">
            {problems.map(({ place, message }, index) => (
              <List.Item key={index} className={styles.text}>
                {place ? `${place}: ${message}` : message}
              </List.Item>
            ))}
          </List>
        </Alert>
      ) : null}
      {plan ? <Tasks plan={plan} old={old} cachingIsOff={cachingIsOff} /> : null}
      {!plan && !error && wrong.length === 0 ? <Loading /> : null}
    </Stack>
  );
}

function Tasks({ plan, old, cachingIsOff }: { plan: PlanPipelineResponse; old: boolean; cachingIsOff: boolean }) {
  const text = useText();
  const { lines, hidden } = linesOf(plan.tasks);
  const counted = decisions(plan.tasks);
  if (lines.length === 0) return null;
  return (
    <div className={old ? styles.old : ""}>
      <Group gap="xs" mb="xs">
        {[...counted].map(([decision, count]) => (
          <Badge key={decision} variant="light" color={colourOf(decision)}>
            {count} × {text(decision as Key)}
          </Badge>
        ))}
      </Group>
      {cachingIsOff && counted.has("CACHED") ? <Text size="sm">{text("planIgnoresCaching")}</Text> : null}
      {plan.truncated ? <Text size="sm">{text("planIsCut")}</Text> : null}
      <div className={styles.tasks} tabIndex={0} role="region" aria-label={text("task")}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{text("task")}</Table.Th>
              <Table.Th>{text("decision")}</Table.Th>
              <Table.Th>{text("note")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {lines.map((line) => (
              <PlanLine key={line.task.path} line={line} colour={colourOf(line.task.decision)} />
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {hidden > 0 ? (
        <Text size="sm" c="dimmed">
          + {hidden} {text("moreTasks")}
        </Text>
      ) : null}
    </div>
  );
}

const colourOf = (decision: string): string => (decision === "RUN" ? "blue" : (COLOURS[decision] ?? "gray"));
