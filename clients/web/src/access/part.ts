/** What each tab of the page is given. */
import type { WhoAmIResponse } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import type { AccessSearch } from "./search";

export interface Part {
  readonly search: AccessSearch;
  readonly change: (changed: Record<string, unknown>) => void;
  readonly caller: WhoAmIResponse;
}
