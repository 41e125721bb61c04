// A small page over gRPC-Web: lists runs, follows the one that is chosen (#<run id>), and shows its lineage.
//
// Example: npm run bundle -- --outfile=web/page.js && cp examples/web/index.html web/ && penstock up --ui web
import { followRun, pages, type Penstock } from "../../src/index.js";
import { RuntimeState, type Run } from "../../src/gen/penstock_api/v2beta1/run_pb.js";
import { lineageOf, type Lineage } from "../../src/lineage.js";
import { connect } from "../../src/web.js";

const SHOWN_RUNS = 50;
const penstock: Penstock = connect();
let following = new AbortController();

window.addEventListener("hashchange", () => void show());
void show();

async function show(): Promise<void> {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  const runId = location.hash.slice(1);
  try {
    await listRuns(runId);
    element("run").hidden = runId === "";
    if (runId === "") return;
    for await (const run of followRun(penstock, runId, signal)) {
      if (signal.aborted) return;
      showRun(run);
      const lineage = await lineageOf(penstock, runId);
      if (lineage && !signal.aborted) showLineage(lineage);
    }
    await listRuns(runId);
  } catch (error) {
    if (signal.aborted) return;
    element("problem").textContent = String(error);
    element("problem").hidden = false;
  }
}

async function listRuns(current: string): Promise<void> {
  const items: HTMLElement[] = [];
  const fetch = (pageToken: string) => penstock.runs.listRuns({ pageToken, sortBy: "created_at desc" });
  for await (const run of pages(fetch, (page) => page.runs)) {
    const link = make("a", make("span", run.displayName), stateOf(RuntimeState[run.state]));
    link.setAttribute("href", `#${run.runId}`);
    if (run.runId === current) link.setAttribute("aria-current", "true");
    items.push(make("li", link));
    if (items.length === SHOWN_RUNS) break;
  }
  element("runs").replaceChildren(...items);
}

function showRun(run: Run): void {
  element("name").textContent = run.displayName;
  const state = stateOf(RuntimeState[run.state]);
  state.id = "state";
  element("state").replaceWith(state);
}

function showLineage(lineage: Lineage): void {
  const tasks = lineage.tasks.filter((task) => task.parent !== undefined);
  element("tasks").replaceChildren(
    ...tasks.map((task) => make("tr", make("td", task.displayName || task.name), make("td", stateOf(task.state)))),
  );
  const names = new Map(lineage.tasks.map((task) => [task.id, task.displayName || task.name]));
  element("lineage").replaceChildren(
    ...lineage.edges
      .filter((edge) => names.get(edge.task))
      .map((edge) => {
        const artifact = lineage.artifacts.get(edge.artifact);
        const uri = make("td", artifact?.uri ?? "");
        uri.className = "uri";
        return make(
          "tr",
          make("td", names.get(edge.task) ?? ""),
          make("td", edge.direction === "output" ? "wrote" : "read"),
          make("td", `${edge.port} (${artifact?.type ?? ""})`),
          uri,
        );
      }),
  );
}

function stateOf(state: string | undefined): HTMLElement {
  const shown = make("span", state ?? "UNKNOWN");
  shown.className = "state";
  shown.dataset["state"] = state ?? "UNKNOWN";
  return shown;
}

function make(tag: string, ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}
