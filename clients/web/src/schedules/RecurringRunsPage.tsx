/** All recurring runs, the newest first, asked for again every two seconds. */
import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { getRouteApi, Link } from "@tanstack/react-router";

import { Failure, Loading } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { useText } from "../text/language";
import { useRecurringRuns } from "./queries";
import { RecurringRunTable } from "./RecurringRunTable";
import { recurringRunsSearch } from "./search";

const route = getRouteApi("/recurring-runs");

export function RecurringRunsPage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const found = useRecurringRuns(search);
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => recurringRunsSearch({ ...old, page: "", ...changed }) });
  const filterByName = useDebouncedCallback((name: string) => change({ name }), 250);
  const next = found.data?.nextPageToken ?? "";
  const { namespace } = search;
  return (
    <Stack>
      <PageTitle name={text("recurringRuns")} />
      <Group justify="space-between">
        <TextInput
          type="search"
          aria-label={text("filterByName")}
          placeholder={text("filterByName")}
          defaultValue={search.name ?? ""}
          maxLength={200}
          onChange={(event) => filterByName(event.currentTarget.value)}
        />
        <Button
          renderRoot={(props: object) => (
            <Link {...props} to="/recurring-runs/new" search={namespace === undefined ? {} : { namespace }} />
          )}
        >
          {text("newRecurringRun")}
        </Button>
      </Group>
      {found.error ? <Failure error={found.error} /> : null}
      {found.data ? <RecurringRunTable recurringRuns={found.data.recurringRuns} /> : found.error ? null : <Loading />}
      <Group>
        <Button variant="default" disabled={!search.page} onClick={() => change({})}>
          {text("firstPage")}
        </Button>
        <Button variant="default" disabled={next === ""} onClick={() => change({ page: next })}>
          {text("nextPage")}
        </Button>
      </Group>
    </Stack>
  );
}
