/** The next fires of a recurring run, and what is due and was not made, with the reason as far as the server tells. */
import { Alert, Stack, Text, Title } from "@mantine/core";
import { RecurringRun_Status, type RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";

import { Failure, Loading } from "../components/facts";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { dueOf } from "./due";
import { FireList } from "./FireList";
import { useActiveRuns, useNextFires } from "./queries";

const SHOWN = 10;

export function ComingFires({ of }: { of: RecurringRun }) {
  const text = useText();
  const enabled = of.status === RecurringRun_Status.ENABLED;
  const fires = useNextFires(of.recurringRunId, enabled, SHOWN);
  const due = dueOf(fires.data, fires.dataUpdatedAt);
  const active = useActiveRuns(of.recurringRunId, due > 0);
  const most = Number(of.maxConcurrency);
  return (
    <Stack component="section" aria-label={text("nextFires")} gap="xs">
      <Title order={3} size="h4">
        {text("nextFires")}
      </Title>
      {fires.error ? <Failure error={fires.error} /> : null}
      {fires.data ? <FireList of={fires.data} now={fires.dataUpdatedAt} /> : fires.error ? null : <Loading />}
      {fires.data?.fires.length === 0 ? <Text>{text("noFires")}</Text> : null}
      {fires.data?.reason ? <Text c="dimmed">{fires.data.reason}</Text> : null}
      <Title order={4} size="h5">
        {text("missed")}
      </Title>
      {due === 0 ? <Text c="dimmed">{text("nothingMissed")}</Text> : null}
      {due > 0 ? (
        <Alert color="orange">
          {fill(text("firesAreDue"), { count: due })}{" "}
          {active.data !== undefined && active.data >= most
            ? fill(text("firesWaitForRuns"), { active: active.data, most })
            : null}
          {active.error ? <Failure error={active.error} /> : null}
        </Alert>
      ) : null}
    </Stack>
  );
}
