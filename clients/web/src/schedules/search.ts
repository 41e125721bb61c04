/** What the addresses of recurring runs say behind their question marks. */
import { text } from "../search";

export interface RecurringRunsSearch {
  readonly name?: string;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export interface RecurringRunSearch {
  /** Token of the page of its runs that is shown. */
  readonly page?: string;
}

export interface NewRecurringRunSearch {
  readonly pipeline?: string;
  readonly version?: string;
  readonly namespace?: string;
}

export function recurringRunsSearch(found: Record<string, unknown>): RecurringRunsSearch {
  return { ...text("name", found.name), ...text("page", found.page), ...text("namespace", found.namespace) };
}

export function recurringRunSearch(found: Record<string, unknown>): RecurringRunSearch {
  return text("page", found.page);
}

export function newRecurringRunSearch(found: Record<string, unknown>): NewRecurringRunSearch {
  return {
    ...text("pipeline", found.pipeline),
    ...text("version", found.version),
    ...text("namespace", found.namespace),
  };
}
