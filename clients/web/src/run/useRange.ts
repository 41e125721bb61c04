/** The range of a timeline, in the address; while it is moved, the address follows a moment later. */
import { useDebouncedCallback } from "@mantine/hooks";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { runSearch } from "../search";
import type { Range } from "./spans";
import { within } from "./zoom";

const route = getRouteApi("/runs/$runId");
const AFTER_MS = 200;

interface Moving {
  readonly to: Range | undefined;
}

/** `change` takes undefined for the whole. */
export function useRange(whole: Range) {
  const { since: from, until: to } = route.useSearch();
  const navigate = route.useNavigate();
  const [moving, move] = useState<Moving>();
  const keep = useDebouncedCallback((next: Moving) => {
    const search = { since: next.to?.from, until: next.to?.to };
    void navigate({ search: (old) => runSearch({ ...old, ...search }), replace: true }).then(() =>
      // It may have been moved on meanwhile.
      move((now) => (now === next ? undefined : now)),
    );
  }, AFTER_MS);
  const said = from === undefined || to === undefined ? undefined : within({ from, to }, whole);
  return {
    range: (moving ? moving.to : said) ?? whole,
    change: (range: Range | undefined) => {
      const next = { to: range };
      move(next);
      keep(next);
    },
  };
}
