/** gRPC-Web, for browsers: what the server's HTTP port answers. */
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { DEFAULT_DEADLINE_MS, penstockOver, retryReads, type Penstock } from "./index.js";

/** `baseUrl` is the page's own origin unless given. */
export function connect(baseUrl: string = globalThis.location.origin, deadlineMs = DEFAULT_DEADLINE_MS): Penstock {
  return penstockOver(
    createGrpcWebTransport({ baseUrl, defaultTimeoutMs: deadlineMs, interceptors: [retryReads] }),
  );
}
