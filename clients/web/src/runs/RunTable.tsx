/** One page of runs as a table, of which some may be selected. */
import { Table } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useTable, type OnChangeFn, type RowSelectionState } from "@tanstack/react-table";
import { useMemo } from "react";

import { columns, durationOf, factColumns, features, ShownRuns } from "./columns";

interface Props {
  readonly runs: Run[];
  readonly now: number;
  /** Ids of runs, some of which may be on other pages; nothing can be selected without `select`. */
  readonly selected?: RowSelectionState;
  readonly select?: OnChangeFn<RowSelectionState>;
}

const NONE: RowSelectionState = {};

export function RunTable({ runs, now, selected = NONE, select }: Props) {
  const shown = useMemo(() => {
    const longest = runs.reduce((most, run) => Math.max(most, durationOf(run, now)), 0);
    return { now, longest };
  }, [now, runs]);
  const table = useTable({
    features,
    columns: select ? columns : factColumns,
    data: runs,
    getRowId: (run) => run.runId,
    state: { rowSelection: selected },
    ...(select && { onRowSelectionChange: select }),
  });
  return (
    <ShownRuns value={shown}>
      <Table.ScrollContainer minWidth={720} type="native">
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
              <Table.Tr key={row.id} data-selected={row.getIsSelected()}>
                {row.getAllCells().map((cell) => (
                  <Table.Td key={cell.id}>
                    <table.FlexRender cell={cell} />
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </ShownRuns>
  );
}
