/** One page of runs as a table. */
import { Anchor, Table, Text } from "@mantine/core";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { Link } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures, useTable } from "@tanstack/react-table";
import { useMemo } from "react";

import { Duration, State, Time } from "../components/facts";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import { PipelineName } from "./PipelineName";

const features = tableFeatures({});
const column = createColumnHelper<typeof features, Run>();

export function RunTable({ runs, now }: { runs: Run[]; now: number }) {
  const text = useText();
  const columns = useMemo(
    () =>
      column.columns([
        column.display({
          id: "state",
          header: text("state"),
          cell: ({ row }) => <State state={RuntimeState[row.original.state] ?? ""} />,
        }),
        column.display({
          id: "name",
          header: text("name"),
          cell: ({ row }) => (
            <Anchor component={Link} to={`/runs/${encodeURIComponent(row.original.runId)}`}>
              {row.original.displayName}
            </Anchor>
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
          cell: ({ row: { original: run } }) => (
            <Duration of={lasted(millis(run.createdAt), millis(run.finishedAt), now)} />
          ),
        }),
        column.display({
          id: "started",
          header: text("started"),
          cell: ({ row }) => <Time at={millis(row.original.createdAt)} />,
        }),
      ]),
    [text, now],
  );
  const table = useTable({ features, columns, data: runs });
  if (runs.length === 0) return <Text c="dimmed">{text("noRuns")}</Text>;
  return (
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
          <Table.Tr key={row.original.runId}>
            {row.getAllCells().map((cell) => (
              <Table.Td key={cell.id}>
                <table.FlexRender cell={cell} />
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
