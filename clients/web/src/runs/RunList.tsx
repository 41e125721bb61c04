/** Runs by filters, the newest first, as they are now; what is selected can be acted on. */
import { Code, Stack, Text } from "@mantine/core";

import { SelectionBar } from "../actions/SelectionBar";
import { Loading } from "../components/facts";
import { Pager } from "../components/Pager";
import { LinkNote } from "../run/LinkNote";
import { runsSearch, type RunsSearch } from "../search";
import { useText } from "../text/language";
import { filterOf } from "./filter";
import { RunFilters } from "./RunFilters";
import { RunTable } from "./RunTable";
import { useRunsWatch } from "./useRunsWatch";
import { useSelection } from "./useSelection";

const PAGE_SIZE = 50;
const HOW_TO_RUN = "penstock run pipeline.yaml";

interface Props {
  readonly search: RunsSearch;
  readonly go: (changed: (old: RunsSearch) => RunsSearch) => void;
  /** The experiment whose page this is on. */
  readonly experiment?: string;
}

export function RunList({ search, go, experiment }: Props) {
  const text = useText();
  const experimentId = experiment ?? search.experiment ?? "";
  const { selected, select, deselect } = useSelection(JSON.stringify([experimentId, search]));
  const { runs, nextPageToken, link, error } = useRunsWatch({
    filter: filterOf(search),
    pageSize: PAGE_SIZE,
    pageToken: search.page ?? "",
    namespace: search.namespace ?? "",
    experimentId,
    sortBy: "created_at desc",
  });
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, unknown>) => go((old) => runsSearch({ ...old, page: "", ...changed }));
  const found = runs ?? [];
  return (
    <Stack>
      <RunFilters search={search} change={change} narrowed={experiment !== undefined} />
      <SelectionBar selected={found.filter(({ runId }) => selected[runId])} deselect={deselect} />
      <LinkNote {...{ link, error }} />
      {!runs && link === "opening" ? <Loading /> : null}
      {runs && found.length === 0 ? (
        <Text c="dimmed">
          {text("noRuns")}. {text("startOneWith")} <Code>{HOW_TO_RUN}</Code>
        </Text>
      ) : null}
      {found.length > 0 ? <RunTable runs={found} {...{ selected, select }} /> : null}
      <Pager page={search.page} next={nextPageToken} go={(page) => change({ page })} />
    </Stack>
  );
}
