/** The runs that have not ended, the newest first, at most ten; the numbers lead to all. */
import { Text } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ListRunsResponse } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { Failure, Loading } from "../components/facts";
import { Section } from "../components/Section";
import { StateLinks } from "../health/StateLinks";
import { RunTable } from "../runs/RunTable";
import { useText } from "../text/language";

interface Props {
  readonly runs: UseQueryResult<ListRunsResponse>;
  /** Number of runs by state. */
  readonly counts: Readonly<Record<string, number>>;
}

export function RunsNow({ runs, counts }: Props) {
  const text = useText();
  const found = runs.data?.runs ?? [];
  return (
    <Section title={text("runsNow")} aside={<StateLinks counts={counts} />}>
      {runs.error ? <Failure error={runs.error} /> : null}
      {runs.isPending ? <Loading /> : null}
      {runs.data && found.length === 0 ? <Text c="dimmed">{text("nothingRuns")}</Text> : null}
      {found.length > 0 ? <RunTable runs={found} now={runs.dataUpdatedAt} /> : null}
    </Section>
  );
}
