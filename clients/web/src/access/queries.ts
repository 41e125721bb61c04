/** What the page of tokens, roles and the audit log asks the server for. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";

import { penstock } from "../server";
import type { AccessSearch } from "./search";

const PAGE_SIZE = 50;
const POLL_MS = 10_000;

export const isRefused = (error: unknown): boolean => ConnectError.from(error).code === Code.PermissionDenied;

// A refusal has its line in the audit log, so that what was refused is not asked for again and again.
interface Asked {
  readonly state: { readonly error: unknown };
}

const SEEN = {
  refetchInterval: ({ state }: Asked) => (state.error ? false : POLL_MS),
  refetchOnWindowFocus: ({ state }: Asked) => !state.error,
  placeholderData: keepPreviousData,
} as const;

const position = ({ page = "" }: AccessSearch) => ({ pageSize: PAGE_SIZE, pageToken: page });
const place = ({ all, namespace = "" }: AccessSearch) => (all ? "" : namespace);

export function useTokens(search: AccessSearch) {
  const allUsers = search.all ?? false;
  return useQuery({
    ...SEEN,
    queryKey: ["access", "tokens", allUsers, search.page],
    queryFn: ({ signal }) => penstock.access.listTokens({ ...position(search), allUsers }, { signal }),
  });
}

export function useRoles(search: AccessSearch) {
  const namespace = place(search);
  return useQuery({
    ...SEEN,
    queryKey: ["access", "roles", namespace, search.page],
    queryFn: ({ signal }) => penstock.access.listRoleBindings({ ...position(search), namespace }, { signal }),
  });
}

export function useAudit(search: AccessSearch) {
  const { user = "", verb = "", resource = "", result = "", from, until } = search;
  const wanted = { user, verb, resource, result, namespace: place(search) };
  const period = {
    ...(from !== undefined && { from: timestampFromMs(from) }),
    ...(until !== undefined && { until: timestampFromMs(until) }),
  };
  return useQuery({
    ...SEEN,
    queryKey: ["access", "audit", wanted, from, until, search.page],
    queryFn: ({ signal }) => penstock.access.listAuditEvents({ ...position(search), ...wanted, ...period }, { signal }),
  });
}

/** Asks for all of it again: what is changed has its line in the audit log, too. */
export function useChanged(): () => void {
  const answers = useQueryClient();
  return () => void answers.invalidateQueries({ queryKey: ["access"] });
}
