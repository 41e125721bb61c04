/** One run: its tasks as a table, a graph or a timeline, and the chosen task beside them. */
import { Group, Tabs, Text, Title } from "@mantine/core";
import { RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";
import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";

import { isArchived } from "../actions/fits";
import { RunActions } from "../actions/RunActions";
import { ArtifactDrawer } from "../artifacts/ArtifactDrawer";
import { Archived } from "../components/Archived";
import { Duration, Failure, Loading, State, Time } from "../components/facts";
import { ButtonLink } from "../components/links";
import { useDocumentName } from "../components/PageTitle";
import { ExperimentLink } from "../experiments/ExperimentLink";
import { Labels } from "../runs/Labels";
import { StartedBy } from "../schedules/StartedBy";
import { runSearch, VIEWS, type View } from "../search";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import { useRun, useTasks } from "./queries";
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
  useDocumentName(run.data?.displayName);
  const error = run.error ?? tasks.error;
  if (!run.data) return error ? <Failure error={error} /> : <Loading />;
  const shown = tasks.data?.find(({ path }) => path !== "" && path === chosen);
  const now = run.dataUpdatedAt;
  const started = millis(run.data.createdAt);
  return (
    <div className={styles.page}>
      <Group>
        <Title order={2} size="h3" className={styles.title} title={run.data.displayName}>
          {run.data.displayName}
        </Title>
        <State state={RuntimeState[run.data.state] ?? ""} />
        {isArchived(run.data) ? <Archived /> : null}
        <Time at={started} />
        <Duration of={lasted(started, millis(run.data.finishedAt), now)} />
        <ExperimentLink experimentId={run.data.experimentId} />
        <RunActions run={run.data} />
        <Labels labels={run.data.labels} />
        <ButtonLink size="xs" variant="default" to="/start" search={{ clone: runId }} children={text("runAgain")} />
      </Group>
      {error ? <Failure error={error} /> : null}
      {run.data.recurringRunId ? <StartedBy recurringRunId={run.data.recurringRunId} /> : null}
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
