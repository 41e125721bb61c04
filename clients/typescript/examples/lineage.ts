// Shows what the tasks of a run read and wrote, from ML Metadata.
//
// Example: npm run build && node dist/examples/lineage.js http://127.0.0.1:8887 RUN_ID
import { lineageOf } from "../src/lineage.js";
import { connect } from "../src/node.js";

const [server = "http://127.0.0.1:8887", runId = ""] = process.argv.slice(2);
const lineage = await lineageOf(connect(server), runId);
if (!lineage) throw new Error(`there is no lineage of run ${runId}`);
const names = new Map(lineage.tasks.map((task) => [task.id, task.name]));
for (const edge of lineage.edges) {
  console.log(names.get(edge.task), edge.direction, edge.port, lineage.artifacts.get(edge.artifact)?.uri);
}
