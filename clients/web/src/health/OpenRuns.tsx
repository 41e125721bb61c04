/** The runs that have not ended: how many in each state, and how many of them no executor has taken. */
import { Text } from "@mantine/core";
import type { Overview } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { Section } from "../components/Section";
import { Time } from "../components/facts";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { lasted, millis, shownDuration } from "../time";
import { StateLinks } from "./StateLinks";

export function OpenRuns({ overview }: { overview: Overview }) {
  const text = useText();
  const { language } = useLanguage();
  const at = millis(overview.at);
  const since = millis(overview.waitingSince);
  const waited = at === undefined ? undefined : lasted(since, undefined, at);
  return (
    <Section title={text("openRuns")}>
      {Object.values(overview.openRuns).some((count) => count > 0) ? (
        <StateLinks counts={overview.openRuns} />
      ) : (
        <Text c="dimmed">{text("nothingRuns")}</Text>
      )}
      {overview.waitingRuns > 0 ? (
        <Text size="sm">
          {fill(text("waitForExecutor"), {
            count: overview.waitingRuns,
            duration: waited === undefined ? "–" : shownDuration(waited, language),
          })}{" "}
          <Time at={since} />
        </Text>
      ) : null}
    </Section>
  );
}
