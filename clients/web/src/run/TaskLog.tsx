/** A task's log as it is written. Its end is kept in sight while the reader has not scrolled away from it. */
import { Anchor, Button, Checkbox, Code, Group, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";

import { Failure, Loading } from "../components/facts";
import { penstock } from "../server";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { linesWith, settled } from "./ansi";
import { LOG_BYTES, tail } from "./log";
import { LogText } from "./LogText";
import styles from "./RunPage.module.css";

const NEAR_THE_END = 40;

export function TaskLog({ runId, path }: { runId: string; path: string }) {
  const text = useText();
  const { log, error, ended } = useLog(runId, path);
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
      {error !== undefined ? <Failure error={error} /> : null}
      {ended && log === "" ? <Text c="dimmed">{text("emptyLog")}</Text> : null}
      {!ended && error === undefined ? <Loading /> : null}
    </section>
  );
}

function useLog(runId: string, path: string) {
  const [log, setLog] = useState("");
  const [error, setError] = useState<unknown>();
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    const leaving = new AbortController();
    const read = async () => {
      const decoder = new TextDecoder();
      const request = { runId, nodeId: path, follow: true, tailBytes: BigInt(LOG_BYTES) };
      // A task may write for hours: no deadline.
      const chunks = penstock.insight.readLog(request, { signal: leaving.signal, timeoutMs: 0 });
      for await (const { data } of chunks) {
        const said = decoder.decode(data, { stream: true });
        setLog((old) => tail(old + said));
      }
      setEnded(true);
    };
    read().catch((problem: unknown) => {
      if (!leaving.signal.aborted) setError(problem);
    });
    return () => leaving.abort();
  }, [runId, path]);
  return { log, error, ended };
}
