/** Whether a recurring run fires, and what it says in words. */
import { Badge } from "@mantine/core";
import { RecurringRun_Status, type RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";

import { useLanguage, useText } from "../text/language";
import styles from "./Schedules.module.css";
import { scheduleInWords } from "./words";

const KEYS = {
  [RecurringRun_Status.STATUS_UNSPECIFIED]: "STATUS_UNSPECIFIED",
  [RecurringRun_Status.ENABLED]: "ENABLED",
  [RecurringRun_Status.DISABLED]: "DISABLED",
} as const;

export function Status({ status }: { status: RecurringRun_Status }) {
  const text = useText();
  // A newer server may have further ones.
  const key = KEYS[status] ?? "STATUS_UNSPECIFIED";
  return (
    <Badge variant="light" color={key === "ENABLED" ? "green" : "gray"} data-status={key} className={styles.whole}>
      {text(key)}
    </Badge>
  );
}

/** In words; as it is written under the pointer. */
export function Schedule({ of }: { of: RecurringRun }) {
  const text = useText();
  const { language } = useLanguage();
  const trigger = of.trigger?.trigger;
  const written = trigger?.case === "cronSchedule" ? trigger.value.cron : undefined;
  return <span title={written}>{scheduleInWords(of.trigger, text, language)}</span>;
}
