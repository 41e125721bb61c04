import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { RunSchema, RuntimeState, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LONGEST_PAUSE_MS, SILENCE_MS } from "../live/follower";
import { ListWatch, type ListChange, type ListRequest } from "./listWatch";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Step = ListChange | ConnectError | "ends" | "hangs";

const run = (runId: string, state = RuntimeState.RUNNING): Run => create(RunSchema, { runId, state });
const page = (runIds: string, ...runs: Run[]): ListChange => ({ runIds: runIds.split(" "), runs, nextPageToken: "" });
const broken = new ConnectError("gone", Code.Unavailable);

/** Streams that were opened: for which request; each says what is written for it. */
function served(...streams: Step[][]) {
  const asked: ListRequest[] = [];
  async function* open(request: ListRequest, signal: AbortSignal) {
    for (const step of streams[asked.push(request) - 1] ?? ["hangs"]) {
      if (step === "ends") return;
      if (step instanceof ConnectError) throw step;
      if (step !== "hangs") yield step;
      else await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
  }
  const watch = new ListWatch(open);
  const ids = () => watch.shown().runs?.map(({ runId }) => runId).join(" ");
  return { watch, asked, ids, passed: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

test("runs are in the order of the page, and those that did not change stay the same objects", async () => {
  const [a, b, c] = [run("a"), run("b"), run("c")];
  const changed = run("b", RuntimeState.FAILED);
  const { watch, ids, passed } = served([page("b a", a, b), page("c b", c, changed), "hangs"]);
  const heard: (readonly Run[] | undefined)[] = [];
  watch.subscribe(() => heard.push(watch.shown().runs));
  watch.start({});
  await passed(0);
  expect(heard[0]).toEqual([b, a]);
  expect(ids()).toBe("c b");
  expect(watch.shown().runs?.[0]).toBe(c);
  expect(watch.shown().runs?.[1]).toBe(changed);
});

test("a page that comes in several messages shows what is known of it", async () => {
  const { ids, watch, passed } = served([page("a b", run("b")), "hangs"], []);
  watch.start({});
  await passed(0);
  expect(ids()).toBe("b");
});

test("what is known stays while the connection is lost, and the next stream begins with the whole page", async () => {
  const { watch, asked, ids, passed } = served(
    [page("a", run("a")), broken],
    [broken],
    [page("b", run("b")), "hangs"],
  );
  watch.start({ pageSize: 5 });
  await passed(0);
  expect(watch.shown().link).toBe("lost");
  expect(ids()).toBe("a");
  await passed(2 * LONGEST_PAUSE_MS);
  expect(asked).toEqual([{ pageSize: 5 }, { pageSize: 5 }, { pageSize: 5 }]);
  expect(watch.shown().link).toBe("up");
  expect(ids()).toBe("b");
});

test("a stream that the server ends is opened again without a word", async () => {
  const { watch, asked, passed } = served([page("a", run("a")), "ends"]);
  const links: string[] = [];
  watch.subscribe(() => links.push(watch.shown().link));
  watch.start({});
  await passed(LONGEST_PAUSE_MS);
  expect(asked.length).toBe(2);
  expect(links).toEqual(["up"]);
});

test("another request keeps in sight what is known until it is answered", async () => {
  const { watch, asked, ids, passed } = served([page("a", run("a")), "hangs"], [page("b", run("b")), "hangs"]);
  watch.start({ filter: "x" });
  await passed(0);
  watch.stop();
  expect(ids()).toBe("a");
  watch.start({ filter: "y" });
  await passed(0);
  expect(asked).toEqual([{ filter: "x" }, { filter: "y" }]);
  expect(ids()).toBe("b");
});

test("a list that cannot be is said once; another request is asked all the same", async () => {
  const { watch, asked, passed } = served([new ConnectError("no", Code.InvalidArgument)], [page("a", run("a"))]);
  watch.start({ pageToken: "?" });
  await passed(10 * SILENCE_MS);
  expect(asked.length).toBe(1);
  expect(watch.shown()).toMatchObject({ link: "failed", error: { rawMessage: "no" } });
  watch.start({});
  await passed(0);
  expect(watch.shown()).toMatchObject({ link: "up", error: undefined });
});
