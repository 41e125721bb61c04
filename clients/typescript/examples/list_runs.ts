// Lists the runs of a server, the newest first.
//
// Example: npm run build && node dist/examples/list_runs.js http://127.0.0.1:8887
//
// With TLS: node dist/examples/list_runs.js https://localhost:8887 ca.crt [client.crt client.key]
import { readFileSync } from "node:fs";

import { pages } from "../src/index.js";
import { RuntimeState } from "../src/gen/penstock_api/v2beta1/run_pb.js";
import { connect } from "../src/node.js";

const [server = "http://127.0.0.1:8887", ...files] = process.argv.slice(2);
const [ca, cert, key] = files.map((file) => readFileSync(file));
const penstock = connect(server, ca ? { tls: { ca, ...(cert && key ? { cert, key } : {}) } } : {});
const list = (pageToken: string) => penstock.runs.listRuns({ pageToken, sortBy: "created_at desc", pageSize: 100 });
for await (const run of pages(list, (page) => page.runs)) {
  console.log(run.runId, RuntimeState[run.state], run.displayName);
}
