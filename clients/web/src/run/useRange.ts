/** The range of a timeline, in the address; while it is moved, the address follows a moment later. */
import { useDebouncedCallback } from "@mantine/hooks";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import type { Range } from "./spans";
import { within } from "./zoom";

const route = getRouteApi("/runs/$runId");
const AFTER_MS = 200;

/** `change` takes undefined for the whole. */
export function useRange(whole: Range) {
  const { from, to } = route.useSearch();
  const navigate = route.useNavigate();
  const [moving, move] = useState<{ readonly to: Range | undefined }>();
  const keep = useDebouncedCallback((range: Range | undefined) => {
    const search = { from: range?.from, to: range?.to };
    void navigate({ search: (old) => ({ ...old, ...search }), replace: true }).then(() => move(undefined));
  }, AFTER_MS);
  const said = from === undefined || to === undefined ? undefined : within({ from, to }, whole);
  return {
    range: (moving ? moving.to : said) ?? whole,
    change: (range: Range | undefined) => {
      move({ to: range });
      keep(range);
    },
  };
}
