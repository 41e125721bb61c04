/** Which runs of a list are selected. Another page, or another filter, begins with none. */
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import type { RowSelectionState, Updater } from "@tanstack/react-table";
import { useState } from "react";

const NONE: RowSelectionState = {};

/** `list` says which list it is. */
export function useSelection(list: string) {
  const [kept, keep] = useState({ list, rows: NONE });
  const rows = (of: typeof kept) => (of.list === list ? of.rows : NONE);
  const select = (change: Updater<RowSelectionState>) =>
    keep((old) => ({ list, rows: typeof change === "function" ? change(rows(old)) : change }));
  const deselect = (runs: readonly Run[]) => {
    const ids = new Set(runs.map(({ runId }) => runId));
    select((old) => Object.fromEntries(Object.entries(old).filter(([id]) => !ids.has(id))));
  };
  return { selected: rows(kept), select, deselect };
}
