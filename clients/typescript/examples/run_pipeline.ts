// Runs a compiled pipeline (JSON) and waits for its end.
//
// Example: npm run build && node dist/examples/run_pipeline.js http://127.0.0.1:8887 pipeline.json
import { readFile } from "node:fs/promises";

import { waitForRun } from "../src/index.js";
import { RuntimeState } from "../src/gen/penstock_api/v2beta1/run_pb.js";
import { connect } from "../src/node.js";

const [server = "http://127.0.0.1:8887", file = "pipeline.json"] = process.argv.slice(2);
const penstock = connect(server);
const spec = JSON.parse(await readFile(file, "utf8"));
const created = await penstock.runs.createRun({
  run: { displayName: "from TypeScript", pipelineSource: { case: "pipelineSpec", value: spec } },
});
const run = await waitForRun(penstock, created.runId, AbortSignal.timeout(600_000));
console.log(run.runId, RuntimeState[run.state]);
