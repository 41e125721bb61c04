/** The attempts of a task, the latest first: how each ended, where it ran and how it spent its time. */
import { Button, Stack, Text, Title } from "@mantine/core";
import { useState } from "react";

import { Content } from "../artifacts/Preview";
import { Duration, State } from "../components/facts";
import type { Seen } from "../run/seen";
import { Unfold } from "../run/Unfold";
import { useNow } from "../run/useNow";
import type { Key } from "../text/en";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Attempts.module.css";
import { extentOf, isOpen, type Tried } from "./phases";
import { PhaseBar } from "./PhaseBar";
import { PhaseList } from "./PhaseList";
import { useAttempts } from "./queries";

// Of a task that is retried for long.
const FIRST = 3;
const FAILURES: Readonly<Record<string, Key>> = {
  user: "failedByUser",
  infrastructure: "failedByInfrastructure",
  configuration: "failedByConfiguration",
};

interface Props {
  readonly runId: string;
  readonly seen: Seen;
  readonly count: number;
  /** What the task's own page part says already. */
  readonly said: { readonly error: string; readonly logUri: string };
}

export function Attempts({ runId, seen, count, said }: Props) {
  const text = useText();
  const tried = useAttempts(runId, seen);
  const [all, showAll] = useState(false);
  const clock = useNow(tried.some(isOpen));
  const now = seen.finishedAt ?? clock;
  const latest = tried.toReversed();
  return (
    <Stack component="section" gap="xs" aria-label={text("attempts")}>
      <Title order={4} size="h5">
        {text("attempts")}: {Math.max(count, latest[0]?.number ?? 0)}
      </Title>
      {latest.slice(0, all ? latest.length : FIRST).map((attempt) => (
        <One key={attempt.number} {...{ attempt, now, said }} />
      ))}
      {all || latest.length <= FIRST ? null : (
        <Button variant="default" size="xs" onClick={() => showAll(true)}>
          {fill(text("allOf"), { count: latest.length })}
        </Button>
      )}
    </Stack>
  );
}

function One({ attempt, now, said }: { attempt: Tried; now: number } & Pick<Props, "said">) {
  const text = useText();
  const name = fill(text("attempt"), { number: attempt.number });
  const extent = extentOf(attempt, now);
  const failure = FAILURES[attempt.failure];
  const facts = [
    { key: "exitCode", value: attempt.exitCode },
    { key: "podName", value: attempt.podName },
    { key: "node", value: attempt.node },
    { key: "placement", value: attempt.placement },
  ] as const;
  return (
    <section aria-label={name} className={styles.one} data-attempt={attempt.number}>
      <div className={styles.head}>
        <Text size="sm" fw={700}>
          {name}
        </Text>
        <State state={attempt.state} />
        {extent ? <Duration of={extent.to - extent.from} /> : null}
      </div>
      {attempt.failure ? <Text size="sm">{failure ? text(failure) : attempt.failure}</Text> : null}
      {attempt.error && attempt.error !== said.error ? (
        <Text size="sm" className={styles.error} c="red">
          {attempt.error}
        </Text>
      ) : null}
      <dl className={styles.facts}>
        {facts.map(({ key, value }) =>
          value === undefined || value === "" ? null : (
            <div key={key}>
              <dt>{text(key)}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
      {extent ? (
        <>
          <span className={styles.alone}>
            <PhaseBar attempt={attempt} range={extent} now={now} />
          </span>
          <PhaseList spans={attempt.spans} now={now} />
        </>
      ) : null}
      {attempt.logUri && attempt.logUri !== said.logUri ? (
        <Unfold label={`${text("logOfAttempt")} (${attempt.number})`}>{() => <Log uri={attempt.logUri} />}</Unfold>
      ) : null}
    </section>
  );
}

function Log({ uri }: { uri: string }) {
  const [from, turn] = useState(0);
  return (
    <>
      <Text size="xs" c="dimmed">
        {uri}
      </Text>
      <Content {...{ uri, from, turn }} />
    </>
  );
}
