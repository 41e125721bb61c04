/** The columns of a table of runs. */
import { Anchor, Checkbox, Progress, Stack } from "@mantine/core";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { Link } from "@tanstack/react-router";
import { createColumnHelper, rowSelectionFeature, tableFeatures } from "@tanstack/react-table";

import { COLOURS, Duration, State, Time } from "../components/facts";
import type { Key } from "../text/en";
import { lasted, millis } from "../time";
import { Labels } from "./Labels";
import { PipelineName } from "./PipelineName";
import styles from "./runs.module.css";

export const features = tableFeatures({ rowSelectionFeature });
const column = createColumnHelper<typeof features, Run>();

export const durationOf = (run: Run, now: number): number =>
  lasted(millis(run.createdAt), millis(run.finishedAt), now) ?? 0;

/** `longest` is the duration that fills a bar. */
export function columnsOf(text: (key: Key) => string, namespace: string | undefined, now: number, longest: number) {
  return column.columns([
    column.display({
      id: "selected",
      header: ({ table }) => (
        <Checkbox
          size="xs"
          aria-label={text("selectAll")}
          checked={table.getIsAllRowsSelected()}
          indeterminate={table.getIsSomeRowsSelected() && !table.getIsAllRowsSelected()}
          onChange={table.getToggleAllRowsSelectedHandler()}
        />
      ),
      cell: ({ row }) => (
        <Checkbox
          size="xs"
          aria-label={`${text("select")} ${row.original.displayName}`}
          checked={row.getIsSelected()}
          onChange={row.getToggleSelectedHandler()}
        />
      ),
    }),
    column.display({
      id: "state",
      header: text("state"),
      cell: ({ row }) => <State state={RuntimeState[row.original.state] ?? ""} />,
    }),
    column.display({
      id: "name",
      header: text("name"),
      cell: ({ row: { original: run } }) => (
        <Stack gap={4} align="flex-start">
          <Anchor
            component={Link}
            to={`/runs/${encodeURIComponent(run.runId)}`}
            title={run.displayName}
            className={styles.name}
          >
            {run.displayName}
          </Anchor>
          <Labels labels={run.labels} namespace={namespace} />
        </Stack>
      ),
    }),
    column.display({
      id: "pipeline",
      header: text("pipeline"),
      cell: ({ row }) => <PipelineName run={row.original} />,
    }),
    column.display({
      id: "duration",
      header: text("duration"),
      cell: ({ row: { original: run } }) => {
        const duration = durationOf(run, now);
        return (
          <div className={styles.duration}>
            <Duration of={duration} />
            <Progress.Root size={4} aria-hidden>
              <Progress.Section
                withAria={false}
                value={longest > 0 ? (100 * duration) / longest : 0}
                color={COLOURS[RuntimeState[run.state] ?? ""] ?? "gray"}
              />
            </Progress.Root>
          </div>
        );
      },
    }),
    column.display({
      id: "started",
      header: text("started"),
      cell: ({ row }) => <Time at={millis(row.original.createdAt)} />,
    }),
  ]);
}
