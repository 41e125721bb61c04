/** The panel of the chosen task, with what the list of tasks does not hold. */
import { Failure, Loading } from "../components/facts";
import { useTask } from "./queries";
import styles from "./RunPage.module.css";
import type { Seen } from "./seen";
import { TaskPanel } from "./TaskPanel";

export function TaskDetails({ runId, seen, close }: { runId: string; seen: Seen; close: () => void }) {
  const task = useTask(runId, seen);
  if (task.data) return <TaskPanel {...{ runId, seen, close }} task={task.data} />;
  return <aside className={styles.panel}>{task.error ? <Failure error={task.error} /> : <Loading />}</aside>;
}
