/** One page of runs as a table, of which some may be selected. */
import { Table } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useTable, type OnChangeFn, type RowSelectionState } from "@tanstack/react-table";

import { columns, factColumns, features } from "./columns";
import { ShownNow } from "./ShownNow";
import { useSteady } from "./useSteady";

interface Props {
  readonly runs: readonly Run[];
  /** Ids of runs, some of which may be on other pages; nothing can be selected without `select`. */
  readonly selected?: RowSelectionState;
  readonly select?: OnChangeFn<RowSelectionState>;
}

const NONE: RowSelectionState = {};

export function RunTable({ runs, selected = NONE, select }: Props) {
  const { steady, handlers } = useSteady(runs);
  const table = useTable({
    features,
    columns: select ? columns : factColumns,
    data: steady as Run[],
    getRowId: (run) => run.runId,
    state: { rowSelection: selected },
    ...(select && { onRowSelectionChange: select }),
  });
  return (
    <ShownNow runs={steady}>
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
          <Table.Tbody {...handlers}>
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
    </ShownNow>
  );
}
