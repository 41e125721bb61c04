/** A task's log as it is written. Its end is kept in sight while the reader has not scrolled away from it. */
import { Anchor, Button, Checkbox, Code, Group, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { Loading } from "../components/facts";
import { useWhileShown } from "../live/useWhileShown";
import { penstock } from "../server";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { linesWith, settled } from "./ansi";
import { LinkNote } from "./LinkNote";
import { LOG_BYTES } from "./log";
import { LogText } from "./LogText";
import { LogWatch, type FollowedLog, type OpenLog } from "./logWatch";
import styles from "./RunPage.module.css";

const NEAR_THE_END = 40;

interface Props {
  readonly runId: string;
  readonly path: string;
  /** How many times the task was tried. */
  readonly attempts: number;
}

export function TaskLog({ runId, path, attempts }: Props) {
  const text = useText();
  const { said: log, link, error } = useLog(runId, path, attempts);
  const [words, search] = useState("");
  const [wraps, wrap] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  // A log that grows faster than it can be shown is shown when there is time.
  const said = useDeferredValue(log);
  const wanted = useDeferredValue(words);
  const shown = useMemo(() => linesWith(settled(said), wanted), [said, wanted]);
  const goToEnd = () => box.current?.scrollTo({ top: box.current.scrollHeight });
  useLayoutEffect(() => {
    if (follows.current) goToEnd();
  }, [shown, wraps]);
  return (
    <section aria-label={text("log")}>
      <Group gap="sm" className={styles.logTools}>
        <TextInput
          size="xs"
          aria-label={text("searchLog")}
          placeholder={text("searchLog")}
          value={words}
          onChange={(event) => search(event.currentTarget.value)}
        />
        <Text size="sm" c="dimmed" role="status">
          {wanted === "" ? "" : fill(text("linesFound"), { count: shown.count })}
        </Text>
        <Checkbox
          size="xs"
          label={text("wrapLines")}
          checked={wraps}
          onChange={(event) => wrap(event.currentTarget.checked)}
        />
        <Button size="compact-xs" variant="default" onClick={goToEnd}>
          {text("toTheEnd")}
        </Button>
        <Anchor
          size="sm"
          href={`/apis/v2beta1/runs/${encodeURIComponent(runId)}/nodes/${encodeURIComponent(path)}/log`}
          download={`${runId}.log`}
        >
          {text("download")}
        </Anchor>
      </Group>
      <Code
        block
        ref={box}
        tabIndex={0}
        className={styles.log}
        data-wraps={wraps || undefined}
        onScroll={({ currentTarget: at }) => {
          follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_THE_END;
        }}
      >
        <LogText text={shown.text} />
      </Code>
      <LinkNote {...{ link, error }} />
      {link === "ended" && log === "" ? <Text c="dimmed">{text("emptyLog")}</Text> : null}
      {link === "opening" || link === "up" ? <Loading /> : null}
    </section>
  );
}

function useLog(runId: string, path: string, attempts: number): FollowedLog {
  const watch = useMemo(() => new LogWatch(opening(runId, path)), [runId, path]);
  useWhileShown(watch);
  useEffect(watch.again, [watch, attempts]);
  return useSyncExternalStore(watch.subscribe, watch.shown);
}

/** A task may write for hours: no deadline. */
function opening(runId: string, path: string): OpenLog {
  const request = { runId, nodeId: path, follow: true, tailBytes: BigInt(LOG_BYTES) };
  return (signal) => penstock.insight.readLog(request, { signal, timeoutMs: 0 });
}
