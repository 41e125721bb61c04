/** One page of recurring runs as a table. */
import { Anchor, Code, Stack, Table, Text } from "@mantine/core";
import type { RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";
import { Link } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures, useTable } from "@tanstack/react-table";
import { useMemo } from "react";

import { PipelineName } from "../runs/PipelineName";
import { useText } from "../text/language";
import { Actions } from "./Actions";
import { NextFire } from "./NextFire";
import styles from "./Schedules.module.css";
import { Schedule, Status } from "./Status";

const features = tableFeatures({});
const column = createColumnHelper<typeof features, RecurringRun>();

export function RecurringRunTable({ recurringRuns }: { recurringRuns: RecurringRun[] }) {
  const text = useText();
  const columns = useMemo(
    () =>
      column.columns([
        column.display({
          id: "status",
          header: text("state"),
          cell: ({ row }) => <Status status={row.original.status} />,
        }),
        column.display({
          id: "name",
          header: text("name"),
          cell: ({ row: { original: one } }) => (
            <Anchor
              component={Link}
              to={`/recurring-runs/${encodeURIComponent(one.recurringRunId)}`}
              className={styles.name}
              size="sm"
            >
              {one.displayName}
            </Anchor>
          ),
        }),
        column.display({
          id: "pipeline",
          header: text("pipeline"),
          cell: ({ row }) => (
            <span className={styles.name}>
              <PipelineName run={row.original} />
            </span>
          ),
        }),
        column.display({
          id: "schedule",
          header: text("schedule"),
          cell: ({ row }) => <Schedule of={row.original} />,
        }),
        column.display({ id: "next", header: text("nextFire"), cell: ({ row }) => <NextFire of={row.original} /> }),
        column.display({ id: "actions", header: text("actions"), cell: ({ row }) => <Actions of={row.original} /> }),
      ]),
    [text],
  );
  const table = useTable({ features, columns, data: recurringRuns });
  if (recurringRuns.length === 0) {
    return (
      <Stack gap="xs">
        <Text c="dimmed">{text("noRecurringRuns")}</Text>
        <Code block>client.create_recurring_run(…, cron_expression="0 30 2 * * *", max_concurrency=1)</Code>
      </Stack>
    );
  }
  return (
    <div className={styles.scroll} tabIndex={0} role="region" aria-label={text("recurringRuns")}>
      <Table highlightOnHover>
        <Table.Thead>
          {table.getHeaderGroups().map((group) => (
            <Table.Tr key={group.id}>
              {group.headers.map((header) => (
                <Table.Th key={header.id}>
                  <table.FlexRender header={header} />
                </Table.Th>
              ))}
            </Table.Tr>
          ))}
        </Table.Thead>
        <Table.Tbody>
          {table.getRowModel().rows.map((row) => (
            <Table.Tr key={row.original.recurringRunId}>
              {row.getAllCells().map((cell) => (
                <Table.Td key={cell.id}>
                  <table.FlexRender cell={cell} />
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
