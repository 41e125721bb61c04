/**
 * What the reader may change where the page is: buttons for anything else are not there.
 *
 * As long as the server has not said, everything is offered, since most servers ask nobody who they are; and each call
 * is checked by the server anyway.
 */
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import { useCaller } from "./caller";
import { useNamespace } from "./namespace";

type Resource = "experiments" | "jobs" | "pipelines" | "runs";
/** A resource and a verb, as of docs/authorization.md. */
export type Change = `${Resource} ${string}`;

const KEPT_MS = 60_000;

export function useMay(): (change: Change) => boolean {
  const { namespace = "" } = useNamespace();
  const caller = useCaller().data;
  const asked = caller !== undefined && caller.source !== "none" && (!caller.multiUser || namespace !== "");
  const { data } = useQuery({
    queryKey: ["what may I change", namespace],
    queryFn: ({ signal }) => penstock.access.whoAmI({ permissions: true, namespace }, { signal }),
    enabled: asked,
    staleTime: KEPT_MS,
  });
  return (change) => data === undefined || data.permissions.includes(change);
}
