/** Whom the server takes the reader for, and whether it keeps namespaces apart. Asked for once: a page has one caller. */
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";

export function useCaller() {
  return useQuery({
    queryKey: ["who am I"],
    queryFn: ({ signal }) => penstock.access.whoAmI({}, { signal }),
    staleTime: Infinity,
  });
}
