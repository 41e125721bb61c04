/** One pipeline: its versions, what the chosen one is made of, and its last runs. */
import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { Description } from "../components/Description";
import { Failure, Loading, Time } from "../components/facts";
import { ButtonLink } from "../components/links";
import { useMay } from "../components/may";
import { PageTitle } from "../components/PageTitle";
import { Pager } from "../components/Pager";
import { useText } from "../text/language";
import { millis } from "../time";
import { Dialog, type Asked } from "./Dialog";
import { LatestRuns } from "./LatestRuns";
import { usePipeline, useVersions } from "./queries";
import { Version } from "./Version";
import { VersionTable } from "./VersionTable";

const route = getRouteApi("/pipelines/$pipelineId");
const PAGE_SIZE = 20;

export function PipelinePage() {
  const text = useText();
  const may = useMay();
  const { pipelineId } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const answers = useQueryClient();
  const [asked, ask] = useState<Asked>();
  const pipeline = usePipeline(pipelineId);
  const versions = useVersions(pipelineId, PAGE_SIZE, search.page);
  if (!pipeline.data) return pipeline.error ? <Failure error={pipeline.error} /> : <Loading />;
  const listed = versions.data?.pipelineVersions ?? [];
  const chosen = search.version ?? listed[0]?.pipelineVersionId;
  const next = versions.data?.nextPageToken ?? "";
  const namespace = search.namespace ? { namespace: search.namespace } : {};
  const turn = (page: string) => void navigate({ search: ({ page: _, ...old }) => (page ? { ...old, page } : old) });
  const changed = async (version?: string) => {
    ask(undefined);
    await answers.invalidateQueries({ queryKey: ["versions", pipelineId] });
    await navigate({ search: version ? { ...namespace, version } : namespace });
  };
  const gone = async () => {
    await answers.invalidateQueries({ queryKey: ["pipelines"] });
    await navigate({ to: "/pipelines", search: namespace });
  };
  return (
    <Stack>
      <Group justify="space-between">
        <PageTitle name={pipeline.data.displayName} />
        <Group>
          {chosen && may("runs create") ? (
            <ButtonLink to="/start" search={{ pipeline: pipelineId, version: chosen, ...namespace }}>
              {text("startRun")}
            </ButtonLink>
          ) : null}
          {may("pipelines create") ? (
            <Button variant="default" onClick={() => ask({ to: "add" })}>
              {text("addVersion")}
            </Button>
          ) : null}
          {may("pipelines delete") ? (
            <Button variant="default" onClick={() => ask({ to: "delete" })}>
              {text("deletePipeline")}
            </Button>
          ) : null}
        </Group>
      </Group>
      <Text size="sm" c="dimmed">
        {text("created")}: <Time at={millis(pipeline.data.createdAt)} />
      </Text>
      {pipeline.data.description ? (
        <Description source={pipeline.data.description} />
      ) : null}
      <section aria-label={text("versions")}>
        <Title order={3} size="h4">
          {text("versions")}
        </Title>
        {versions.error ? <Failure error={versions.error} /> : null}
        {versions.data && listed.length === 0 ? <Text c="dimmed">{text("noVersions")}</Text> : null}
        {listed.length > 0 ? (
          <VersionTable versions={listed} chosen={chosen ?? ""} remove={(version) => ask({ to: "delete", version })} />
        ) : null}
        <Pager page={search.page} next={next} go={turn} />
      </section>
      {chosen ? (
        <Version
          pipelineId={pipelineId}
          versionId={chosen}
          described={pipeline.data.description}
          view={search.view ?? "graph"}
          choose={(view) => void navigate({ search: (old) => ({ ...old, view }), replace: true })}
          versions={listed}
          against={search.against}
          compare={(against) => void navigate({ search: (old) => ({ ...old, against }), replace: true })}
        />
      ) : null}
      <LatestRuns key={pipelineId} pipelineId={pipelineId} namespace={search.namespace ?? pipeline.data.namespace} />
      <Dialog asked={asked} pipeline={pipeline.data} close={() => ask(undefined)} changed={changed} gone={gone} />
    </Stack>
  );
}
