/** When a recurring run fires next, or why it does not. */
import { Text } from "@mantine/core";
import { RecurringRun_Status, type RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";

import { Time } from "../components/facts";
import { reason } from "../server";
import { millis } from "../time";
import { isDue } from "./due";
import { Due } from "./FireList";
import { useNextFires } from "./queries";

export function NextFire({ of }: { of: RecurringRun }) {
  const enabled = of.status === RecurringRun_Status.ENABLED;
  const fires = useNextFires(of.recurringRunId, enabled, 1);
  if (fires.error) {
    return (
      <Text size="sm" c="red">
        {reason(fires.error)}
      </Text>
    );
  }
  // Of a disabled one the server tells when it would.
  const next = enabled ? millis(fires.data?.fires[0]) : undefined;
  return (
    <span title={fires.data?.reason || undefined}>
      <Time at={next} /> {isDue(next, fires.dataUpdatedAt) ? <Due /> : null}
    </span>
  );
}
