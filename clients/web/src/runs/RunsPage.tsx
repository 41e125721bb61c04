/** All runs. */
import { getRouteApi } from "@tanstack/react-router";

import { RunList } from "./RunList";

const route = getRouteApi("/runs");

export function RunsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  return <RunList search={search} go={(changed) => void navigate({ search: changed })} />;
}
