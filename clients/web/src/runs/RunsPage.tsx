/** All runs. */
import { Stack } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { PageTitle } from "../components/PageTitle";
import { useText } from "../text/language";
import { RunList } from "./RunList";

const route = getRouteApi("/runs");

export function RunsPage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Stack>
      <PageTitle name={text("runs")} />
      <RunList search={search} go={(changed) => void navigate({ search: changed })} />
    </Stack>
  );
}
