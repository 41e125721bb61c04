/** One run: its tasks as a table, a graph or a timeline, and the chosen task beside them. */
import { Tabs, Text } from "@mantine/core";
import { ended } from "@penstock/client/index.js";
import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";

import { ArtifactDrawer } from "../artifacts/ArtifactDrawer";
import { Failure, Loading } from "../components/facts";
import { runSearch, VIEWS, type View } from "../search";
import { useText } from "../text/language";
import { useRun, useTasks } from "./queries";
import { RunHead } from "./RunHead";
import styles from "./RunPage.module.css";
import { TaskPanel } from "./TaskPanel";
import { TaskTable } from "./TaskTable";
import { Timeline } from "./Timeline";
import { rowsOf, treeOf } from "./tree";

// React Flow and ELK are most of the bundle.
const TaskGraph = lazy(() => import("./TaskGraph").then(({ TaskGraph }) => ({ default: TaskGraph })));
const route = getRouteApi("/runs/$runId");

export function RunPage() {
  const text = useText();
  const { runId } = route.useParams();
  const { view = "table", task: chosen, artifact, from = 0 } = route.useSearch();
  const navigate = route.useNavigate();
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const run = useRun(runId);
  const tasks = useTasks(runId, run.data !== undefined && ended(run.data.state));
  const tree = useMemo(() => treeOf(tasks.data ?? []), [tasks.data]);
  const rows = useMemo(() => rowsOf(tree, toggled), [tree, toggled]);
  const choose = useCallback(
    (task: string) => void navigate({ search: (old) => ({ ...old, task }), replace: true }),
    [navigate],
  );
  const close = () => void navigate({ search: ({ task: _, ...old }) => old, replace: true });
  const toggle = useCallback(
    (path: string) => setToggled((old) => old.symmetricDifference(new Set([path]))),
    [],
  );
  const error = run.error ?? tasks.error;
  if (!run.data) return error ? <Failure error={error} /> : <Loading />;
  const shown = tasks.data?.find(({ path }) => path !== "" && path === chosen);
  const now = run.dataUpdatedAt;
  return (
    <div className={styles.page}>
      <RunHead run={run.data} now={now} />
      {error ? <Failure error={error} /> : null}
      {run.data.error?.message ? <Text c="red">{run.data.error.message}</Text> : null}
      <Tabs value={view} onChange={(to) => void navigate({ search: (old) => ({ ...old, view: to as View }) })}>
        <Tabs.List>
          {VIEWS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {text(one)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <div className={styles.views}>
        <div className={styles.view}>
          {tree.length === 0 ? <Text c="dimmed">{text("noTasks")}</Text> : null}
          {view === "table" ? <TaskTable {...{ rows, toggled, chosen, choose, toggle, now }} /> : null}
          {view === "timeline" ? <Timeline {...{ rows, chosen, choose, now }} /> : null}
          {view === "graph" && tree.length > 0 ? (
            <Suspense fallback={<Loading />}>
              <TaskGraph run={run.data} {...{ tree, toggled, chosen, choose, toggle }} />
            </Suspense>
          ) : null}
        </div>
        {artifact === undefined ? null : (
          <ArtifactDrawer
            key={artifact}
            name={artifact}
            from={from}
            turn={(to) => void navigate({ search: (old) => runSearch({ ...old, from: to }) })}
            close={() => void navigate({ search: (old) => runSearch({ ...old, artifact: "", from: 0 }) })}
          />
        )}
        {shown ? <TaskPanel key={shown.path} runId={runId} task={shown} close={close} /> : null}
      </div>
    </div>
  );
}
