/** Runs side by side: which, and what is shown of them, is in the address. They are asked for again until all have
 * ended. */
import { Code, Group, Stack, Switch, Text } from "@mantine/core";
import { ended } from "@penstock/client/index.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import { Failure, Loading } from "../components/facts";
import { ButtonLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
import { penstock, POLL_MS } from "../server";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { CompareTable } from "./CompareTable";
import { Curves } from "./Curves";
import { Matrices } from "./Matrices";
import { MOST_RUNS, without, type CompareSearch } from "./search";

const route = getRouteApi("/compare");
const HOW_TO_COMPARE = "penstock runs compare RUN RUN";
const NONE: readonly string[] = [];

export function ComparePage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const ids = search.run ?? NONE;
  const compared = useQuery({
    queryKey: ["compare", ids],
    queryFn: ({ signal }) => penstock.insight.compareRuns({ runIds: [...ids] }, { signal }),
    enabled: ids.length > 0,
    refetchInterval: ({ state }) => (state.data?.runs.every(({ run }) => run && ended(run.state)) ? false : POLL_MS),
    placeholderData: keepPreviousData,
  });
  // What was taken out is gone at once.
  const runs = useMemo(
    () => (compared.data?.runs ?? []).filter(({ run }) => run && ids.includes(run.runId)),
    [compared.data, ids],
  );
  const go = (changed: (old: CompareSearch) => CompareSearch) => void navigate({ search: changed, resetScroll: false });
  const onlyDiffering = search.rows === "differing";
  return (
    <Stack>
      <Group justify="space-between">
        <PageTitle name={text("compareRuns")} />
        {runs.length > 0 ? (
          <Switch
            label={text("onlyDifferences")}
            checked={onlyDiffering}
            onChange={() => go(({ rows, ...old }) => (rows ? old : { ...old, rows: "differing" }))}
          />
        ) : null}
      </Group>
      {ids.length === 0 ? <Nothing /> : null}
      {compared.error ? <Failure error={compared.error} /> : null}
      {compared.error && runs.length === 0 ? <ToTheRuns /> : null}
      {ids.length > 0 && compared.isPending ? <Loading /> : null}
      {runs.length > 0 ? (
        <>
          <CompareTable
            runs={runs}
            now={compared.dataUpdatedAt}
            baseline={search.baseline}
            onlyDiffering={onlyDiffering}
            choose={(chosen) => go(({ baseline: _, ...old }) => (chosen ? { ...old, baseline: chosen } : old))}
            takeOut={(runId) => go((old) => without(old, runId))}
          />
          <Curves runs={runs} />
          <Matrices runs={runs} />
        </>
      ) : null}
    </Stack>
  );
}

function Nothing() {
  const text = useText();
  return (
    <Stack>
      <Text c="dimmed">
        {fill(text("chooseRuns"), { most: MOST_RUNS })} <Code>{HOW_TO_COMPARE}</Code>
      </Text>
      <ToTheRuns />
    </Stack>
  );
}

function ToTheRuns() {
  const text = useText();
  const namespace = useNamespace();
  return (
    <ButtonLink to="/runs" search={namespace} variant="default" w="fit-content">
      {text("toTheRuns")}
    </ButtonLink>
  );
}
