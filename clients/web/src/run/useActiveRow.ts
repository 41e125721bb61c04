/** The row that the keyboard is at: it stays with its task while rows come and go around it. */
import { useMemo, useState } from "react";

import { useShortcuts } from "../components/useShortcuts";
import type { Row } from "./tree";

interface List {
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
}

/** `show` brings a row into sight, which the keyboard has come to. */
export function useActiveRow({ rows, chosen, choose, toggle }: List, show: (index: number) => void) {
  const [at, setAt] = useState({ path: chosen, index: 0 });
  const active = useMemo(() => indexOf(rows, at), [rows, at]);
  const activate = (index: number) => setAt({ path: rows[index]?.node.task.path, index });
  const go = (index: number) => {
    const to = Math.max(0, Math.min(rows.length - 1, index));
    activate(to);
    show(to);
  };
  const row = rows[active];
  const fold = () => {
    if (row && row.open && row.node.counts.size > 0) toggle(row.node.task.path);
    else if (row && row.depth > 0) go(rows.findLastIndex((one, index) => index < active && one.depth < row.depth));
  };
  // Nothing was moved to before the first key: it is the row that is there already.
  const [moved, setMoved] = useState(chosen !== undefined);
  const step = (by: number) => {
    setMoved(true);
    go(moved ? active + by : active);
  };
  useShortcuts({
    next: () => step(1),
    previous: () => step(-1),
    first: () => go(0),
    last: () => go(rows.length - 1),
    open: () => row && choose(row.node.task.path),
    unfold: () => row && !row.open && row.node.counts.size > 0 && toggle(row.node.task.path),
    fold,
  });
  return {
    active,
    activate: (index: number) => {
      setMoved(true);
      activate(index);
    },
  };
}

function indexOf(rows: readonly Row[], { path, index }: { path: string | undefined; index: number }): number {
  if (rows[index]?.node.task.path === path) return index;
  const found = path === undefined ? -1 : rows.findIndex(({ node }) => node.task.path === path);
  return found >= 0 ? found : Math.max(0, Math.min(rows.length - 1, index));
}
