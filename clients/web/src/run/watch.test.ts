import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { RunSchema, RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LONGEST_PAUSE_MS, SILENCE_MS } from "../live/follower";
import { LONGEST_REST_MS, RunWatch, TELL_EVERY_MS, type Change } from "./watch";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.restoreAllMocks().useRealTimers());

type Step = Change | ConnectError | "ends" | "hangs";

const change = (sequence: number, states: Record<string, string>, state = RuntimeState.RUNNING): Change => ({
  sequence: BigInt(sequence),
  run: create(RunSchema, { runId: "r", state }),
  tasks: Object.entries(states).map(([path, of]) => create(TaskSchema, { path, name: path, state: of })),
  more: false,
});
const broken = new ConnectError("gone", Code.Unavailable);

/** Streams that were opened: after which number; each says what is written for it. */
function served(...streams: Step[][]) {
  const asked: bigint[] = [];
  async function* open(after: bigint, signal: AbortSignal) {
    const steps = streams[asked.push(after) - 1] ?? ["hangs"];
    for (const step of steps) {
      if (step === "ends") return;
      if (step instanceof ConnectError) throw step;
      if (step !== "hangs") yield step;
      else await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
  }
  const watch = new RunWatch(open);
  const states = () => Object.fromEntries(watch.shown().tree.map(({ task }) => [task.path, task.state]));
  return { watch, asked, states, passed: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

test("changes are merged by path and told a few times a second at most", async () => {
  const changes = Array.from({ length: 100 }, (_, at) => change(at + 1, { [`t${at % 10}`]: `s${at}` }));
  const { watch, states, passed } = served([...changes, "hangs"]);
  const told = vi.fn();
  watch.subscribe(told);
  watch.start();
  await passed(TELL_EVERY_MS);
  expect(told).toHaveBeenCalledTimes(2);
  expect(states()).toMatchObject({ t0: "s90", t9: "s99" });
  expect(watch.shown()).toMatchObject({ size: 10, link: "up", whole: true });
  await passed(10 * TELL_EVERY_MS);
  expect(told).toHaveBeenCalledTimes(2);
});

test("what is there already is shown at once when all of it has come, however long telling has taken", async () => {
  const { watch, passed } = served([
    { ...change(0, { a: "RUNNING" }), more: true },
    { ...change(0, { b: "RUNNING" }), more: true },
    change(1, { c: "RUNNING" }),
    change(2, { d: "RUNNING" }),
    "hangs",
  ]);
  const told: [number, boolean][] = [];
  let worked = 0;
  vi.spyOn(performance, "now").mockImplementation(() => Date.now() + worked);
  watch.subscribe(() => {
    told.push([watch.shown().size, watch.shown().whole]);
    worked += 1_000;
  });
  watch.start();
  await passed(0);
  expect(told).toEqual([[1, false], [3, true]]);
  await passed(LONGEST_REST_MS - 1);
  expect(told).toHaveLength(2);
  await passed(1);
  expect(told).toEqual([[1, false], [3, true], [4, true]]);
  await passed(60_000);
  expect(told).toHaveLength(3);
});

test("a stream that breaks is said to be lost and goes on after the last sequence", async () => {
  const { watch, asked, states, passed } = served(
    [change(5, { a: "RUNNING", b: "RUNNING" }), broken],
    [broken],
    [change(7, { a: "SUCCEEDED" }), "hangs"],
  );
  watch.start();
  await passed(0);
  await passed(TELL_EVERY_MS - 1);
  expect(asked.length).toBeGreaterThan(0);
  await passed(1);
  await passed(2 * LONGEST_PAUSE_MS);
  expect(asked).toEqual([0n, 5n, 5n]);
  expect(states()).toEqual({ a: "SUCCEEDED", b: "RUNNING" });
  expect(watch.shown().link).toBe("up");
});

test("pauses grow up to a bound while the server is away, and one can be cut short", async () => {
  const { watch, asked, passed } = served(...Array.from({ length: 60 }, (): Step[] => [broken]));
  watch.start();
  await passed(1_000);
  expect(watch.shown().link).toBe("lost");
  const early = asked.length;
  expect(early).toBeGreaterThanOrEqual(3);
  await passed(5 * LONGEST_PAUSE_MS);
  expect(asked.length - early).toBeLessThan(20);
  const before = asked.length;
  watch.start();
  await passed(0);
  expect(asked.length).toBe(before + 1);
});

test("a stream that the server lets go is opened again without a word", async () => {
  const { watch, asked, passed } = served([change(3, { a: "RUNNING" }), "ends"], ["hangs"]);
  const links: string[] = [];
  watch.subscribe(() => links.push(watch.shown().link));
  watch.start();
  await passed(5_000);
  expect(asked).toEqual([0n, 3n]);
  expect(links).toEqual(["up"]);
});

test("nothing is asked any more when the run has ended, until somebody wants to know again", async () => {
  const { watch, asked, passed } = served(
    [change(3, { a: "SUCCEEDED" }, RuntimeState.FAILED), "ends"],
    [change(4, { a: "RUNNING" }), "hangs"],
  );
  watch.start();
  await passed(10 * SILENCE_MS);
  expect(watch.shown().link).toBe("ended");
  expect(asked).toEqual([0n]);
  watch.start();
  await passed(TELL_EVERY_MS);
  expect(asked).toEqual([0n, 3n]);
  expect(watch.shown().run?.state).toBe(RuntimeState.RUNNING);
});

test.each([Code.NotFound, Code.PermissionDenied, Code.Unauthenticated])("code %i is final", async (code) => {
  const { watch, asked, passed } = served([new ConnectError("no", code)]);
  watch.start();
  await passed(10 * SILENCE_MS);
  expect(asked).toEqual([0n]);
  expect(watch.shown()).toMatchObject({ link: "failed", error: { rawMessage: "no" } });
});

test("a server that knows fewer changes is listened to from the beginning", async () => {
  const { watch, asked, states, passed } = served(
    [change(9, { a: "RUNNING", gone: "RUNNING" }), broken],
    [new ConnectError("begin again", Code.InvalidArgument)],
    [change(2, { a: "PENDING" }), "hangs"],
  );
  watch.start();
  await passed(5_000);
  expect(asked).toEqual([0n, 9n, 0n]);
  expect(states()).toEqual({ a: "PENDING" });
});

test("a stream that is silent for long is opened anew; one that does not answer is lost", async () => {
  const { watch, asked, passed } = served([change(1, { a: "RUNNING" }), "hangs"], ["hangs"]);
  watch.start();
  await passed(SILENCE_MS);
  expect(asked).toEqual([0n, 1n]);
  expect(watch.shown().link).toBe("up");
  await passed(SILENCE_MS);
  expect(watch.shown().link).toBe("lost");
});

test("after stop nothing is heard, and start goes on", async () => {
  const { watch, asked, passed } = served(
    [change(1, { a: "RUNNING" }), "hangs"],
    [change(2, { a: "FAILED" }), "hangs"],
  );
  watch.start();
  await passed(0);
  watch.stop();
  await passed(10 * SILENCE_MS);
  expect(asked).toEqual([0n]);
  watch.start();
  await passed(0);
  expect(asked).toEqual([0n, 1n]);
});

test("a run that is tried again before its end was told is listened to again", async () => {
  const { watch, asked, states, passed } = served(
    [change(1, { a: "FAILED" }, RuntimeState.FAILED), "ends"],
    [change(2, { a: "RUNNING" }), "hangs"],
  );
  watch.start();
  await passed(0);
  watch.again();
  await passed(TELL_EVERY_MS);
  expect(asked).toEqual([0n, 1n]);
  expect(states()).toEqual({ a: "RUNNING" });
  watch.again();
  await passed(TELL_EVERY_MS);
  expect(asked).toHaveLength(2);
});
