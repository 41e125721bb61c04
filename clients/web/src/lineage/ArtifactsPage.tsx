/** All artifacts, the newest first, by type and by run; one opens with its preview beside the list. */
import { Code, Group, NativeSelect, Stack, Text } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import { ArtifactDrawer } from "../artifacts/ArtifactDrawer";
import { Failure, Loading } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { Pager } from "../components/Pager";
import { Choice } from "../runs/Choice";
import { runs } from "../runs/choices";
import filters from "../runs/runs.module.css";
import { useText } from "../text/language";
import { ArtifactTable } from "./ArtifactTable";
import { useArtifacts } from "./queries";
import { artifactsSearch } from "./search";

const route = getRouteApi("/artifacts");
const HOW_TO_RUN = "penstock run pipeline.yaml";
const TYPES = [
  "Artifact",
  "ClassificationMetrics",
  "Dataset",
  "HTML",
  "Markdown",
  "Metrics",
  "Model",
  "SlicedClassificationMetrics",
].map((name) => `system.${name}`);

export function ArtifactsPage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { type = "", run, namespace = "", artifact, from = 0 } = search;
  const ofRuns = useMemo(() => runs(namespace), [namespace]);
  const artifacts = useArtifacts(search);
  const found = artifacts.data?.artifacts ?? [];
  // Components may have types of their own: those that are in sight can be chosen.
  const types = [...new Set([...TYPES, ...found.map((one) => one.type), ...(type ? [type] : [])])];
  const look = (changed: Record<string, unknown>) =>
    void navigate({ search: (old) => artifactsSearch({ ...old, ...changed }) });
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, unknown>) => look({ page: "", artifact: "", from: 0, ...changed });
  return (
    <Stack>
      <PageTitle name={text("artifactList")} />
      <Group align="flex-start" className={filters.filters}>
        <NativeSelect
          aria-label={text("type")}
          value={type}
          onChange={(event) => change({ type: event.currentTarget.value })}
          data={[{ value: "", label: text("anyType") }, ...types.map((value) => ({ value, label: value }))]}
        />
        <Choice
          kind={`run ${namespace}`}
          label={text("run")}
          chosen={run}
          choose={(id) => change({ run: id })}
          {...ofRuns}
        />
      </Group>
      {artifacts.error ? <Failure error={artifacts.error} /> : null}
      {artifacts.isPending ? <Loading /> : null}
      {artifacts.data && found.length === 0 ? (
        <Text c="dimmed">
          {text("noArtifacts")} <Code>{HOW_TO_RUN}</Code>
        </Text>
      ) : null}
      {found.length > 0 ? <ArtifactTable artifacts={found} namespace={namespace} /> : null}
      <Pager page={search.page} next={artifacts.data?.nextPageToken ?? ""} go={(page) => change({ page })} />
      {artifact === undefined ? null : (
        <ArtifactDrawer
          key={artifact}
          name={artifact}
          from={from}
          turn={(to) => look({ from: to })}
          close={() => look({ artifact: "", from: 0 })}
        />
      )}
    </Stack>
  );
}
