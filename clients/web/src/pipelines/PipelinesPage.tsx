/** All pipelines, the newest first, and the way to add one. */
import { Button, Group, Stack } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { Failure, Loading } from "../components/facts";
import { useMay } from "../components/may";
import { NameFilter } from "../components/NameFilter";
import { PageTitle } from "../components/PageTitle";
import { Pager } from "../components/Pager";
import { useText } from "../text/language";
import { AddPackage } from "./AddPackage";
import { PipelineTable } from "./PipelineTable";
import { usePipelines } from "./queries";
import { pipelinesSearch } from "./search";
import { addPipeline, type Package } from "./upload";

const route = getRouteApi("/pipelines");

export function PipelinesPage() {
  const text = useText();
  const may = useMay();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const answers = useQueryClient();
  const [adds, setAdds] = useState(false);
  const pipelines = usePipelines(search);
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => pipelinesSearch({ ...old, page: "", ...changed }) });
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
        <NameFilter name={search.name} change={(name) => change({ name })} />
        {may("pipelines create") ? (
          <Button onClick={() => setAdds(true)}>{text("addPipeline")}</Button>
        ) : null}
      </Group>
      {pipelines.error ? <Failure error={pipelines.error} /> : null}
      {pipelines.data ? (
        <PipelineTable pipelines={pipelines.data.pipelines} namespace={search.namespace} />
      ) : pipelines.error ? null : (
        <Loading />
      )}
      <Pager page={search.page} next={next} go={(page) => change({ page })} />
      {adds ? <AddPackage title={text("addPipeline")} close={() => setAdds(false)} add={add} /> : null}
    </Stack>
  );
}
