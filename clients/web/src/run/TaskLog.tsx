/** A task's log as it is written. Its end is kept in sight while the reader has not scrolled away from it. */
import { Anchor, Code, Text } from "@mantine/core";
import { useEffect, useLayoutEffect, useRef, useState } from "react";

import { Failure, Loading } from "../components/facts";
import { penstock } from "../server";
import { useText } from "../text/language";
import { LOG_BYTES, tail } from "./log";
import styles from "./RunPage.module.css";

const NEAR_THE_END = 40;

export function TaskLog({ runId, path }: { runId: string; path: string }) {
  const text = useText();
  const { log, error, ended } = useLog(runId, path);
  const box = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    if (box.current && follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log]);
  return (
    <section aria-label={text("log")}>
      <Anchor
        size="sm"
        href={`/apis/v2beta1/runs/${encodeURIComponent(runId)}/nodes/${encodeURIComponent(path)}/log`}
        download={`${runId}.log`}
      >
        {text("download")}
      </Anchor>
      <Code
        block
        ref={box}
        className={styles.log}
        onScroll={({ currentTarget: at }) => {
          follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_THE_END;
        }}
      >
        {log}
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
