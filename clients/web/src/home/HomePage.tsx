/** What a reader wants to know first: what runs, what failed, what waits and for what; in a new installation, how to
 * begin. */
import { Stack } from "@mantine/core";

import { Failure } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { useOverview } from "../health/queries";
import { useText } from "../text/language";
import { FailedRuns } from "./FailedRuns";
import { FirstSteps } from "./FirstSteps";
import { Problems } from "./Problems";
import { EVERY_MS, useAnyRun, useFailedRuns, useRunsNow } from "./queries";
import { RunsNow } from "./RunsNow";
import { Waiting } from "./Waiting";

export function HomePage() {
  const text = useText();
  const overview = useOverview(EVERY_MS);
  const now = useRunsNow();
  const failed = useFailedRuns();
  const quiet = now.runs?.length === 0 && failed.data?.runs.length === 0;
  const any = useAnyRun(quiet);
  const isNew = quiet && any.data?.runs.length === 0;
  // Such as that a namespace is needed: the other calls are refused for the same reason.
  if (overview.error && !overview.data) return <Failure error={overview.error} />;
  return (
    <Stack gap="lg">
      <PageTitle name={text("overview")} />
      {overview.error ? <Failure error={overview.error} /> : null}
      <Problems problems={overview.data?.problems ?? []} />
      {isNew ? (
        <FirstSteps />
      ) : (
        <>
          <RunsNow runs={now} counts={overview.data?.openRuns ?? {}} />
          <FailedRuns runs={failed} />
          <Waiting overview={overview.data} now={now.runs ?? []} />
        </>
      )}
    </Stack>
  );
}
