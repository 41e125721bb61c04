// Lists the runs of a server, the newest first.
//
// Example: npm run build && node dist/examples/list_runs.js http://127.0.0.1:8887
import { pages } from "../src/index.js";
import { RuntimeState } from "../src/gen/penstock_api/v2beta1/run_pb.js";
import { connect } from "../src/node.js";

const penstock = connect(process.argv[2] ?? "http://127.0.0.1:8887");
const list = (pageToken: string) => penstock.runs.listRuns({ pageToken, sortBy: "created_at desc", pageSize: 100 });
for await (const run of pages(list, (page) => page.runs)) {
  console.log(run.runId, RuntimeState[run.state], run.displayName);
}
