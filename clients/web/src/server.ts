/** The server that served this page, and how its answers are kept. */
import { Code, ConnectError } from "@connectrpc/connect";
import { connect } from "@penstock/client/web.js";
import { QueryClient } from "@tanstack/react-query";

export const penstock = connect();
export const POLL_MS = 2_000;

const LASTING = new Set([Code.NotFound, Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated]);

export const answers = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 3 && !LASTING.has(ConnectError.from(error).code),
      staleTime: POLL_MS,
    },
  },
});

/** What went wrong, in the server's words. */
export const reason = (error: unknown): string => ConnectError.from(error).rawMessage;
