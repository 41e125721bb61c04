/** All recurring runs, the newest first, asked for again every two seconds. */
import { Button, Group, Stack } from "@mantine/core";
import { getRouteApi, Link } from "@tanstack/react-router";

import { Failure, Loading } from "../components/facts";
import { useMay } from "../components/may";
import { NameFilter } from "../components/NameFilter";
import { PageTitle } from "../components/PageTitle";
import { Pager } from "../components/Pager";
import { useText } from "../text/language";
import { useRecurringRuns } from "./queries";
import { RecurringRunTable } from "./RecurringRunTable";
import { recurringRunsSearch } from "./search";

const route = getRouteApi("/recurring-runs");

export function RecurringRunsPage() {
  const text = useText();
  const may = useMay();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const found = useRecurringRuns(search);
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => recurringRunsSearch({ ...old, page: "", ...changed }) });
  const next = found.data?.nextPageToken ?? "";
  const { namespace } = search;
  return (
    <Stack>
      <PageTitle name={text("recurringRuns")} />
      <Group justify="space-between">
        <NameFilter name={search.name} change={(name) => change({ name })} />
        {may("jobs create") ? (
          <Button
            renderRoot={(props: object) => (
              <Link {...props} to="/recurring-runs/new" search={namespace === undefined ? {} : { namespace }} />
            )}
          >
            {text("newRecurringRun")}
          </Button>
        ) : null}
      </Group>
      {found.error ? <Failure error={found.error} /> : null}
      {found.data ? <RecurringRunTable recurringRuns={found.data.recurringRuns} /> : found.error ? null : <Loading />}
      <Pager page={search.page} next={next} go={(page) => change({ page })} />
    </Stack>
  );
}
