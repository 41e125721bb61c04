/** The last runs of a pipeline, of all its versions. */
import { Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { Failure, Loading } from "../components/facts";
import { equals, filterText } from "../runs/filter";
import { RunTable } from "../runs/RunTable";
import { penstock, POLL_MS } from "../server";
import { useText } from "../text/language";

const SHOWN = 10;

export function LatestRuns({ pipelineId, namespace }: { pipelineId: string; namespace: string }) {
  const text = useText();
  const filter = filterText(equals("pipeline_id", pipelineId));
  const runs = useQuery({
    queryKey: ["runs", "of a pipeline", pipelineId, namespace],
    queryFn: ({ signal }) =>
      penstock.runs.listRuns({ filter, namespace, pageSize: SHOWN, sortBy: "created_at desc" }, { signal }),
    refetchInterval: POLL_MS,
  });
  return (
    <section aria-label={text("latestRuns")}>
      <Title order={3} size="h4">
        {text("latestRuns")}
      </Title>
      {runs.error ? <Failure error={runs.error} /> : null}
      {!runs.data ? (
        runs.error ? null : (
          <Loading />
        )
      ) : runs.data.runs.length === 0 ? (
        <Text c="dimmed">{text("noRunsOfIt")}</Text>
      ) : (
        <RunTable runs={runs.data.runs} now={runs.dataUpdatedAt} />
      )}
    </section>
  );
}
