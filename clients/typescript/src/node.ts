/** gRPC over HTTP/2, for Node. */
import type { Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { DEFAULT_DEADLINE_MS, penstockOver, retryReads, USER_AGENT, type Penstock } from "./index.js";

export interface Settings {
  /** Of calls that name none of their own, in milliseconds. */
  deadlineMs?: number;
  /** Run around every call, outermost first: the place for credentials. */
  interceptors?: Interceptor[];
  /** Contents of PEM files, for an authority of one's own, and a certificate for a server that asks for one. */
  tls?: { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer };
}

const named: Interceptor = (next) => (request) => {
  request.header.set("user-agent", USER_AGENT);
  return next(request);
};

/** `baseUrl` such as `http://127.0.0.1:8887`, or `https://…` for TLS. */
export function connect(baseUrl: string, settings: Settings = {}): Penstock {
  return penstockOver(
    createGrpcTransport({
      baseUrl,
      defaultTimeoutMs: settings.deadlineMs ?? DEFAULT_DEADLINE_MS,
      ...(settings.tls ? { nodeOptions: settings.tls } : {}),
      interceptors: [...(settings.interceptors ?? []), named, retryReads],
    }),
  );
}
