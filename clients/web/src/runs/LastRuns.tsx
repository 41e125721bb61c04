/** The last runs of a pipeline as bars, the newest at the right: as long as they took, in the colours of their states. */
import { Tooltip } from "@mantine/core";
import { RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { COLOURS } from "../components/facts";
import { useNamespace } from "../components/namespace";
import { penstock } from "../server";
import type { Key } from "../text/en";
import { useLanguage, useText } from "../text/language";
import { shownDuration } from "../time";
import { durationOf } from "./columns";
import { equals, filterText } from "./filter";
import styles from "./runs.module.css";

const SHOWN = 12;
// The shortest bar can still be seen, and pressed.
const SHORTEST = 15;

export function LastRuns({ pipelineId, namespace }: { pipelineId: string; namespace: string }) {
  const text = useText();
  const { language } = useLanguage();
  const carried = useNamespace();
  const filter = filterText(equals("pipeline_id", pipelineId));
  const found = useQuery({
    queryKey: ["runs", "last of a pipeline", pipelineId, namespace],
    queryFn: ({ signal }) =>
      penstock.runs.listRuns({ filter, namespace, pageSize: SHOWN, sortBy: "created_at desc" }, { signal }),
    refetchInterval: 10_000,
  });
  const runs = [...(found.data?.runs ?? [])].reverse();
  const durations = runs.map((run) => durationOf(run, found.dataUpdatedAt));
  const longest = Math.max(1, ...durations);
  if (runs.length === 0) return <span>{found.data ? "–" : "…"}</span>;
  return (
    <span className={styles.last} role="group" aria-label={text("latestRuns")}>
      {runs.map((run, number) => {
        const state = RuntimeState[run.state] ?? "";
        const duration = durations[number] ?? 0;
        const words = `${run.displayName}: ${text(state as Key)}, ${shownDuration(duration, language)}`;
        const height = `${Math.max(SHORTEST, (100 * duration) / longest)}%`;
        return (
          <Tooltip key={run.runId} label={words}>
            <Link
              to="/runs/$runId"
              params={{ runId: run.runId }}
              search={carried}
              aria-label={words}
              className={styles.lastRun}
            >
              <span style={{ height, background: `var(--mantine-color-${COLOURS[state] ?? "gray"}-6)` }} />
            </Link>
          </Tooltip>
        );
      })}
    </span>
  );
}
