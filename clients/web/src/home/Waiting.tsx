/** What waits, and for what: runs that no executor has taken, those first that have waited longest, and tasks of the
 * newest runs under way. The server says why of each that is shown. */
import { Stack, Text } from "@mantine/core";
import type { Overview } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { Failure, Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { Section } from "../components/Section";
import { waitingIn } from "../health/places";
import { WaitingList } from "../run/WaitingList";
import { useWaitingTasks } from "../run/waits";
import { reason } from "../server";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { lasted, millis, shownDuration } from "../time";
import styles from "./Home.module.css";
import { usePendingRuns, useWhy } from "./queries";
import { RunLink } from "./RunLink";

// Each is asked what waits in it.
const ASKED = 5;

interface Props {
  readonly overview: Overview | undefined;
  /** The newest that have not ended. */
  readonly now: readonly Run[];
}

export function Waiting({ overview, now }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const runs = usePendingRuns();
  const found = runs.data?.runs ?? [];
  const attempts = waitingIn(overview?.executors ?? []);
  const running = now.filter(({ state }) => state === RuntimeState.RUNNING).slice(0, ASKED);
  const tasks = useWaitingTasks(running.map(({ runId }) => runId));
  const behind = running.flatMap((run, index) => {
    const waiting = tasks[index];
    return waiting && waiting.total > 0 ? [{ run, waiting }] : [];
  });
  const all = (
    <TextLink to="/runs" search={{ ...namespace, state: "PENDING" }} size="sm">
      {text("allPending")}
    </TextLink>
  );
  return (
    <Section title={text("whatWaits")} aside={found.length > 0 ? all : null}>
      {runs.error ? <Failure error={runs.error} /> : null}
      {runs.isPending ? <Loading /> : null}
      {runs.data && found.length + attempts + behind.length === 0 ? <Text c="dimmed">{text("nothingWaits")}</Text> : null}
      {attempts > 0 ? <Text size="sm">{fill(text("attemptsWait"), { count: attempts })}</Text> : null}
      {found.length + behind.length > 0 ? (
        <Stack component="ul" gap="xs" className={styles.list}>
          {found.map((run) => (
            <Waits key={run.runId} run={run} now={runs.dataUpdatedAt} />
          ))}
          {behind.map(({ run, waiting }) => (
            <li key={run.runId} className={styles.waits}>
              <RunLink run={run} />
              <WaitingList runId={run.runId} waiting={waiting} />
            </li>
          ))}
        </Stack>
      ) : null}
    </Section>
  );
}

function Waits({ run, now }: { run: Run; now: number }) {
  const text = useText();
  const { language } = useLanguage();
  const why = useWhy(run.runId);
  const waited = lasted(millis(run.createdAt), undefined, now);
  return (
    <li className={styles.waits}>
      <RunLink run={run} />
      <Text size="sm" c="dimmed" className={styles.whole}>
        {waited === undefined ? "–" : fill(text("waitedFor"), { duration: shownDuration(waited, language) })}
      </Text>
      <Text size="sm" className={styles.words} {...(why.error && { c: "red" })}>
        {why.error ? reason(why.error) : (why.data?.summary ?? "…")}
      </Text>
    </li>
  );
}
