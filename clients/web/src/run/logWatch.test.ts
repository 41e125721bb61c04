import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { SILENCE_MS } from "../live/follower";
import { LogWatch } from "./logWatch";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Step = string | ConnectError | "ends" | "hangs";
const broken = new ConnectError("gone", Code.Unavailable);

/** Streams that were opened; each says what is written for it, and then hangs. */
function served(...streams: Step[][]) {
  const opened: AbortSignal[] = [];
  async function* open(signal: AbortSignal) {
    for (const step of streams[opened.push(signal) - 1] ?? []) {
      if (step === "ends") return;
      if (step instanceof ConnectError) throw step;
      yield { data: new TextEncoder().encode(step) };
    }
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  }
  const watch = new LogWatch(open);
  return { watch, opened, passed: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

test("a stream that breaks in the middle is opened again, and nothing is missing or there twice", async () => {
  const { watch, passed } = served(["one\n", "two\n", broken], ["one\ntwo\n", "three\n", "ends"]);
  watch.start();
  await passed(0);
  expect(watch.shown()).toMatchObject({ said: "one\ntwo\n", link: "lost" });
  await passed(1_000);
  expect(watch.shown()).toMatchObject({ said: "one\ntwo\nthree\n", link: "ended", error: undefined });
});

test("a task may write nothing for long: its stream stays", async () => {
  const { watch, opened, passed } = served([], []);
  watch.start();
  await passed(10 * SILENCE_MS);
  expect(opened).toHaveLength(1);
  expect(watch.shown()).toMatchObject({ said: "", link: "opening" });
});

test("a page that is left lets go, and begins anew when it is shown; what is known stays meanwhile", async () => {
  const { watch, opened, passed } = served(["one\n"], ["one\ntwo\n"]);
  watch.start();
  await passed(0);
  watch.stop();
  expect(opened[0]?.aborted).toBe(true);
  expect(watch.shown().said).toBe("one\n");
  watch.start();
  await passed(0);
  expect(watch.shown()).toMatchObject({ said: "one\ntwo\n", link: "up" });
});

test("a log that has ended is read again only for another attempt", async () => {
  const { watch, opened, passed } = served(["one\n", "ends"], ["two\n"]);
  watch.start();
  await passed(0);
  watch.start();
  await passed(0);
  expect(opened).toHaveLength(1);
  watch.again();
  await passed(0);
  expect(watch.shown()).toMatchObject({ said: "two\n", link: "up" });
});

test("what will not be otherwise is told once", async () => {
  const { watch, opened, passed } = served([new ConnectError("no such log", Code.NotFound)]);
  watch.start();
  await passed(60_000);
  expect(opened).toHaveLength(1);
  expect(watch.shown()).toMatchObject({ link: "failed" });
});
