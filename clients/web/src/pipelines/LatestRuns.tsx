/** The last runs of a pipeline, of all its versions. */
import { Text, Title } from "@mantine/core";

import { Loading } from "../components/facts";
import { LinkNote } from "../run/LinkNote";
import { equals, filterText } from "../runs/filter";
import { RunTable } from "../runs/RunTable";
import { useRunsWatch } from "../runs/useRunsWatch";
import { useText } from "../text/language";

const SHOWN = 10;

export function LatestRuns({ pipelineId, namespace }: { pipelineId: string; namespace: string }) {
  const text = useText();
  const filter = filterText(equals("pipeline_id", pipelineId));
  const { runs, link, error } = useRunsWatch({ filter, namespace, pageSize: SHOWN, sortBy: "created_at desc" });
  return (
    <section aria-label={text("latestRuns")}>
      <Title order={3} size="h4">
        {text("latestRuns")}
      </Title>
      <LinkNote {...{ link, error }} />
      {!runs && link === "opening" ? <Loading /> : null}
      {runs?.length === 0 ? <Text c="dimmed">{text("noRunsOfIt")}</Text> : null}
      {runs && runs.length > 0 ? <RunTable runs={runs} /> : null}
    </section>
  );
}
