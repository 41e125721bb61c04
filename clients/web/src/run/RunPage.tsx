/** One run: its tasks as a table, a graph or a timeline, and the chosen task beside them, as they are now. */
import { Group, Switch, Tabs, Text } from "@mantine/core";
import { RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";
import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";

import { ArtifactDrawer } from "../artifacts/ArtifactDrawer";
import { CriticalPath } from "../attempts/CriticalPath";
import { useCritical } from "../attempts/useCritical";
import { Failure, Loading } from "../components/facts";
import { useShortcuts } from "../components/useShortcuts";
import { runSearch, VIEWS } from "../search";
import { useLanguage, useText } from "../text/language";
import { LinkNote } from "./LinkNote";
import { useRun } from "./queries";
import { RunHead } from "./RunHead";
import styles from "./RunPage.module.css";
import { TaskDetails } from "./TaskDetails";
import { TaskSearch } from "./TaskSearch";
import { TaskTable } from "./TaskTable";
import { Timeline } from "./Timeline";
import { firstFailed, nodeAt, pendingSince, rowsNamed, rowsOf } from "./tree";
import { useNow } from "./useNow";
import { useRunWatch } from "./useRunWatch";
import { WaitingList } from "./WaitingList";
import { useReasons } from "./waits";

// React Flow and ELK are most of the bundle.
const TaskGraph = lazy(() => import("./TaskGraph").then(({ TaskGraph }) => ({ default: TaskGraph })));
const route = getRouteApi("/runs/$runId");
// Every task waits for a moment.
const SOON_MS = 2_000;

export function RunPage() {
  const text = useText();
  const { language } = useLanguage();
  const { runId } = route.useParams();
  const { view = "table", task, name = "", artifact, from = 0, critical } = route.useSearch();
  const navigate = route.useNavigate();
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const { watched, again } = useRunWatch(runId);
  const { tree, link } = watched;
  const asked = useRun(runId);
  // An action on a run that had ended asks for it anew: there may be more to hear.
  useEffect(again, [again, asked.dataUpdatedAt]);
  const rows = useMemo(
    () => (name === "" ? rowsOf(tree, toggled) : rowsNamed(tree, name)),
    [tree, toggled, name],
  );
  const choose = useCallback(
    (task: string) => void navigate({ search: (old) => ({ ...old, task }), replace: true }),
    [navigate],
  );
  // Who opens a run that failed asks for this; who closes it does not.
  const [closed, setClosed] = useState(false);
  const chosen = useMemo(
    () => task ?? (watched.run?.state === RuntimeState.FAILED && !closed ? firstFailed(tree)?.path : undefined),
    [task, watched.run?.state, closed, tree],
  );
  const close = () => {
    setClosed(true);
    void navigate({ search: ({ task: _, ...old }) => old, replace: true });
  };
  const toggle = useCallback(
    (path: string) => setToggled((old) => old.symmetricDifference(new Set([path]))),
    [],
  );
  useShortcuts({ ...(chosen !== undefined && { close }) });
  const shown = useMemo(() => (chosen ? nodeAt(tree, chosen)?.task : undefined), [tree, chosen]);
  const run = watched.run ?? asked.data;
  // What is no change of the run's own, such as that it was archived, no watch tells.
  const about = asked.data ?? run;
  const goesOn = run !== undefined && !ended(run.state);
  const now = useNow(goesOn);
  const marked = useCritical(runId, goesOn, run !== undefined && critical === true);
  const pending = useMemo(() => (goesOn ? pendingSince(tree, now - SOON_MS) : []), [goesOn, tree, now]);
  const waiting = useReasons(runId, pending);
  if (!run || !about) return link === "opening" ? <Loading /> : <LinkNote {...watched} />;
  return (
    <div className={styles.page}>
      <RunHead run={{ ...about, state: run.state, ...(run.finishedAt && { finishedAt: run.finishedAt }) }} now={now} />
      <LinkNote {...watched} />
      {run.error?.message ? (
        <Text c="red" className={styles.words}>
          {run.error.message}
        </Text>
      ) : null}
      <Group justify="space-between" align="end">
        <Tabs
          value={view}
          onChange={(to) => {
            const found = VIEWS.find((one) => one === to);
            if (found) void navigate({ search: (old) => ({ ...old, view: found }) });
          }}
        >
          <Tabs.List>
            {VIEWS.map((one) => (
              <Tabs.Tab key={one} value={one}>
                {text(one)}
              </Tabs.Tab>
            ))}
          </Tabs.List>
        </Tabs>
        {watched.whole || watched.size === 0 ? null : (
          <Text size="sm" c="dimmed" role="status">
            {text("loading")} {watched.size.toLocaleString(language)}
          </Text>
        )}
        <Group>
          <Switch
            label={text("criticalPath")}
            checked={critical === true}
            onChange={({ currentTarget: { checked } }) =>
              void navigate({ search: (old) => runSearch({ ...old, critical: checked }), replace: true })
            }
          />
          {view === "graph" ? null : <TaskSearch key={runId} name={name} />}
        </Group>
      </Group>
      {critical ? <CriticalPath runId={runId} goesOn={goesOn} /> : null}
      <div className={styles.views}>
        <div className={styles.view}>
          {rows.length === 0 ? <Text c="dimmed">{text(tree.length === 0 ? "noTasks" : "noTasksNamed")}</Text> : null}
          {view === "table" ? <TaskTable {...{ rows, chosen, choose, toggle, now, marked }} /> : null}
          {view === "timeline" ? (
            <Timeline {...{ runId, goesOn, rows, chosen, choose, toggle, now, marked }} />
          ) : null}
          {view === "graph" && tree.length > 0 ? (
            <Suspense fallback={<Loading />}>
              {asked.error ? <Failure error={asked.error} /> : null}
              {asked.data && watched.whole ? (
                <TaskGraph run={asked.data} {...{ tree, toggled, chosen, choose, toggle, marked }} />
              ) : null}
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
        {shown ? <TaskDetails key={shown.path} runId={runId} seen={shown} close={close} /> : null}
      </div>
      {/* Below, since it comes and goes while the run goes on: rows stay where they are. */}
      <WaitingList runId={runId} waiting={waiting} />
    </div>
  );
}
