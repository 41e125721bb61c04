/** The namespace that the address says. Links within the UI carry it on: in multi-user mode a list needs it. */
import { useSearch } from "@tanstack/react-router";

/** What goes into the search of a link. */
export function useNamespace(): { namespace?: string } {
  const { namespace } = useSearch({ strict: false });
  return namespace ? { namespace } : {};
}
