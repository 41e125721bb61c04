/** All pipelines, the newest first, and the way to add one. */
import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { Failure, Loading } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { useText } from "../text/language";
import { AddPackage } from "./AddPackage";
import { PipelineTable } from "./PipelineTable";
import { usePipelines } from "./queries";
import { pipelinesSearch } from "./search";
import { addPipeline, type Package } from "./upload";

const route = getRouteApi("/pipelines");

export function PipelinesPage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const answers = useQueryClient();
  const [adds, setAdds] = useState(false);
  const pipelines = usePipelines(search);
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => pipelinesSearch({ ...old, page: "", ...changed }) });
  const filterByName = useDebouncedCallback((name: string) => change({ name }), 250);
  const add = async (added: Package) => {
    const { pipelineId } = await addPipeline(added, search.namespace ?? "");
    await answers.invalidateQueries({ queryKey: ["pipelines"] });
    const { namespace } = search;
    await navigate({ to: "/pipelines/$pipelineId", params: { pipelineId }, search: namespace ? { namespace } : {} });
  };
  const next = pipelines.data?.nextPageToken ?? "";
  return (
    <Stack>
      <PageTitle name={text("pipelines")} />
      <Group justify="space-between">
        <TextInput
          type="search"
          aria-label={text("filterByName")}
          placeholder={text("filterByName")}
          defaultValue={search.name ?? ""}
          maxLength={200}
          onChange={(event) => filterByName(event.currentTarget.value)}
        />
        <Button onClick={() => setAdds(true)}>{text("addPipeline")}</Button>
      </Group>
      {pipelines.error ? <Failure error={pipelines.error} /> : null}
      {pipelines.data ? (
        <PipelineTable pipelines={pipelines.data.pipelines} namespace={search.namespace} />
      ) : pipelines.error ? null : (
        <Loading />
      )}
      <Group>
        <Button variant="default" disabled={!search.page} onClick={() => change({})}>
          {text("firstPage")}
        </Button>
        <Button variant="default" disabled={next === ""} onClick={() => change({ page: next })}>
          {text("nextPage")}
        </Button>
      </Group>
      {adds ? <AddPackage title={text("addPipeline")} close={() => setAdds(false)} add={add} /> : null}
    </Stack>
  );
}
