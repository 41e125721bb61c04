/** All runs, the newest first, asked for again every two seconds. */
import { Button, Group, NativeSelect, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";

import { Failure, Loading } from "../components/facts";
import { RUN_STATES, runsSearch } from "../search";
import { penstock, POLL_MS } from "../server";
import { useText } from "../text/language";
import { filterOf } from "./filter";
import { RunTable } from "./RunTable";

const route = getRouteApi("/runs");
const PAGE_SIZE = 50;

export function RunsPage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const runs = useQuery({
    queryKey: ["runs", search],
    queryFn: ({ signal }) =>
      penstock.runs.listRuns(
        {
          filter: filterOf(search),
          pageSize: PAGE_SIZE,
          pageToken: search.page ?? "",
          namespace: search.namespace ?? "",
          sortBy: "created_at desc",
        },
        { signal },
      ),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => runsSearch({ ...old, page: "", ...changed }) });
  const filterByName = useDebouncedCallback((name: string) => change({ name }), 250);
  const next = runs.data?.nextPageToken ?? "";
  return (
    <Stack>
      <Group>
        <TextInput
          type="search"
          aria-label={text("filterByName")}
          placeholder={text("filterByName")}
          defaultValue={search.name ?? ""}
          maxLength={200}
          onChange={(event) => filterByName(event.currentTarget.value)}
        />
        <NativeSelect
          aria-label={text("state")}
          value={search.state ?? ""}
          onChange={(event) => change({ state: event.currentTarget.value })}
          data={[
            { value: "", label: text("anyState") },
            ...RUN_STATES.map((value) => ({ value, label: text(value) })),
          ]}
        />
      </Group>
      {runs.error ? <Failure error={runs.error} /> : null}
      {runs.data ? <RunTable runs={runs.data.runs} now={runs.dataUpdatedAt} /> : runs.error ? null : <Loading />}
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
