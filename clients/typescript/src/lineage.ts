/** What the tasks of a run read and wrote, from ML Metadata, in the terms the web UI draws it in (one node an execution). */
import { Event_Type, Execution_State } from "./gen/ml_metadata/proto/metadata_store_pb.js";
import type { Penstock } from "./index.js";

export interface LineageTask {
  id: bigint;
  /** Key of the task in its DAG; empty for the root. */
  name: string;
  displayName: string;
  /** Execution of the DAG it is in; absent for the root. */
  parent?: bigint;
  state: string;
}

export interface LineageEdge {
  task: bigint;
  artifact: bigint;
  direction: "input" | "output";
  port: string;
}

export interface Lineage {
  tasks: LineageTask[];
  artifacts: Map<bigint, { name: string; uri: string; type: string }>;
  edges: LineageEdge[];
}

/** The lineage recorded so far, `undefined` before there is any. */
export async function lineageOf({ metadata }: Penstock, runId: string): Promise<Lineage | undefined> {
  const { context } = await metadata.getContextByTypeAndName({ typeName: "system.PipelineRun", contextName: runId });
  if (!context) return undefined;
  const [{ executions }, { artifacts }] = await Promise.all([
    metadata.getExecutionsByContext({ contextId: context.id }),
    metadata.getArtifactsByContext({ contextId: context.id }),
  ]);
  const { events } = await metadata.getEventsByExecutionIDs({ executionIds: executions.map((one) => one.id) });
  const text = (properties: (typeof executions)[number]["customProperties"], name: string) => {
    const value = properties[name]?.value;
    return value?.case === "stringValue" ? value.value : "";
  };
  return {
    tasks: executions.map((one) => {
      const parent = one.customProperties["parent_dag_id"]?.value;
      return {
        id: one.id,
        name: text(one.customProperties, "task_name"),
        displayName: text(one.customProperties, "display_name"),
        ...(parent?.case === "intValue" ? { parent: parent.value } : {}),
        state: Execution_State[one.lastKnownState] ?? "UNKNOWN",
      };
    }),
    artifacts: new Map(
      artifacts.map((one) => [
        one.id,
        { name: text(one.customProperties, "display_name") || one.name, uri: one.uri, type: one.type },
      ]),
    ),
    edges: events.map((event) => {
      const key = event.path?.steps[0]?.value;
      return {
        task: event.executionId,
        artifact: event.artifactId,
        direction: event.type === Event_Type.OUTPUT ? "output" : "input",
        port: key?.case === "key" ? key.value : "",
      };
    }),
  };
}
