/** A task of the plan: what happens to it, and why. */
import { Badge, Table, Text } from "@mantine/core";

import { TextLink } from "../components/links";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import type { Line } from "./plan";
import styles from "./Start.module.css";

const INDENT = 16;
const GROUPS: Readonly<Record<string, Key>> = { loop: "repeated", dag: "group", importer: "importer" };

export function PlanLine({ line: { task, depth, hidden }, colour }: { line: Line; colour: string }) {
  const text = useText();
  const name = task.path.slice(task.path.lastIndexOf("/") + 1);
  const loop = task.kind === "loop";
  const notes = [
    ...(task.note ? [task.note] : []),
    ...(loop ? [`${task.iterations ?? "?"} ${text("iterations")}`] : []),
    ...(task.condition ? [`${text("onlyIf")} ${task.condition}`] : []),
    ...Object.entries(task.unknownInputs).map(([input, source]) => `${input} = <${source}>`),
  ];
  return (
    <Table.Tr>
      <Table.Td>
        <div className={`${styles.text} ${styles.task}`} style={{ paddingInlineStart: depth * INDENT }}>
          {task.kind === "iteration" ? name : task.displayName || name}
          {task.kind in GROUPS ? (
            <Text span size="xs" c="dimmed">
              {" "}
              {text(GROUPS[task.kind] ?? "group")}
            </Text>
          ) : null}
          {hidden > 0 ? (
            <Text size="xs" c="dimmed">
              + {hidden} {text("moreIterations")}
            </Text>
          ) : null}
        </div>
      </Table.Td>
      <Table.Td>
        <Badge className={styles.whole} variant="light" color={colour} data-decision={task.decision}>
          {text(task.decision as Key)}
        </Badge>
      </Table.Td>
      <Table.Td>
        <Text size="sm" className={`${styles.text} ${styles.cut}`} title={notes.join("\n")}>
          {notes.join("; ")}
        </Text>
        {task.cachedRunId ? (
          <TextLink underline="always" size="sm" to="/runs/$runId" params={{ runId: task.cachedRunId }}>
            {text("resultOf")}
          </TextLink>
        ) : null}
      </Table.Td>
    </Table.Tr>
  );
}
