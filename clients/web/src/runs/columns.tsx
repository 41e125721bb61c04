/** The columns of a table of runs. They are made once: a cell is a component, and one that is made anew with each
 * answer of the server would lose the keyboard's focus. What changes comes through the context. */
import { Anchor, Checkbox, Progress, Stack } from "@mantine/core";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { Link } from "@tanstack/react-router";
import { createColumnHelper, rowSelectionFeature, tableFeatures } from "@tanstack/react-table";
import { createContext, useContext } from "react";

import { isArchived } from "../actions/fits";
import { Archived } from "../components/Archived";
import { COLOURS, Duration, State, Time } from "../components/facts";
import { useNamespace } from "../components/namespace";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import { Labels } from "./Labels";
import { PipelineName } from "./PipelineName";
import styles from "./runs.module.css";

interface Shown {
  readonly now: number;
  /** The duration that fills a bar. */
  readonly longest: number;
}

export const ShownRuns = createContext<Shown>({ now: 0, longest: 0 });
export const features = tableFeatures({ rowSelectionFeature });
const column = createColumnHelper<typeof features, Run>();

export const durationOf = (run: Run, now: number): number =>
  lasted(millis(run.createdAt), millis(run.finishedAt), now) ?? 0;

const head = (key: Key) => () => useText()(key);

export const columns = column.columns([
  column.display({
    id: "selected",
    header: ({ table }) => (
      <Checkbox
        size="xs"
        aria-label={useText()("selectAll")}
        checked={table.getIsAllRowsSelected()}
        indeterminate={table.getIsSomeRowsSelected() && !table.getIsAllRowsSelected()}
        onChange={table.getToggleAllRowsSelectedHandler()}
      />
    ),
    cell: ({ row }) => (
      <Checkbox
        size="xs"
        aria-label={`${useText()("select")} ${row.original.displayName}`}
        checked={row.getIsSelected()}
        onChange={row.getToggleSelectedHandler()}
      />
    ),
  }),
  column.display({
    id: "state",
    header: head("state"),
    cell: ({ row }) => (
      <div className={styles.state}>
        <State state={RuntimeState[row.original.state] ?? ""} />
      </div>
    ),
  }),
  column.display({ id: "name", header: head("name"), cell: ({ row }) => <Name run={row.original} /> }),
  column.display({
    id: "pipeline",
    header: head("pipeline"),
    cell: ({ row }) => (
      <div className={styles.pipeline}>
        <PipelineName run={row.original} />
      </div>
    ),
  }),
  column.display({ id: "duration", header: head("duration"), cell: ({ row }) => <DurationBar run={row.original} /> }),
  column.display({
    id: "started",
    header: head("started"),
    cell: ({ row }) => (
      <span className={styles.time}>
        <Time at={millis(row.original.createdAt)} />
      </span>
    ),
  }),
]);

/** Where nothing can be selected. */
export const factColumns = columns.filter(({ id }) => id !== "selected");

function Name({ run }: { run: Run }) {
  const namespace = useNamespace();
  return (
    <Stack gap={4} align="flex-start">
      <Anchor
        renderRoot={(props) => <Link {...props} to="/runs/$runId" params={{ runId: run.runId }} search={namespace} />}
        title={run.displayName}
        className={styles.name}
      >
        {run.displayName}
      </Anchor>
      {isArchived(run) ? <Archived /> : null}
      <Labels labels={run.labels} />
    </Stack>
  );
}

function DurationBar({ run }: { run: Run }) {
  const { now, longest } = useContext(ShownRuns);
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
}
