/** What the address of tokens, roles and the audit log says behind its question mark. Secrets are never in it. */
import { number, oneOf, text } from "../search";
import { RESOURCES, RESULTS, VERBS } from "./words";

export const TABS = ["tokens", "roles", "audit"] as const;
export type Tab = (typeof TABS)[number];

export interface AccessSearch {
  readonly tab?: Tab;
  /** The tokens of everybody; roles and lines of all namespaces. */
  readonly all?: true;
  /** Whose deeds are shown, and which. */
  readonly user?: string;
  readonly verb?: string;
  readonly resource?: string;
  readonly result?: string;
  /** Of when the lines are, in milliseconds since the epoch; the end is not in it. */
  readonly from?: number;
  readonly until?: number;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export function accessSearch(found: Record<string, unknown>): AccessSearch {
  return {
    ...oneOf("tab", TABS, found.tab),
    ...oneOf("all", [true] as const, found.all),
    ...text("user", found.user),
    ...oneOf("verb", Object.keys(VERBS), found.verb),
    ...oneOf("resource", Object.keys(RESOURCES), found.resource),
    ...oneOf("result", Object.keys(RESULTS), found.result),
    ...time("from", found.from),
    ...time("until", found.until),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

// The last of what the API knows.
const LATEST_MS = Date.UTC(10_000, 0) - 1;

function time<K extends string>(key: K, value: unknown): Partial<Record<K, number>> {
  return number(key, typeof value === "number" && value > 0 && value <= LATEST_MS ? value : undefined);
}
