/** Who calls and what they may do: the reader, their API tokens, who has which role, and what was done and refused. */
import { Stack, Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { useCaller } from "../components/caller";
import { Failure, Loading } from "../components/facts";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
import { useText } from "../text/language";
import { Audit } from "./Audit";
import { Caller } from "./Caller";
import { Roles } from "./Roles";
import { accessSearch, TABS, type Tab } from "./search";
import { Tokens } from "./Tokens";

const route = getRouteApi("/access");
const PARTS = { tokens: Tokens, roles: Roles, audit: Audit } as const;

export function AccessPage() {
  const text = useText();
  const namespace = useNamespace();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { data: caller, error } = useCaller();
  const { tab = "tokens" } = search;
  const Part = PARTS[tab];
  // What is chosen begins at the first page.
  const change = (changed: Record<string, unknown>) =>
    void navigate({ search: (old) => accessSearch({ ...old, page: undefined, ...changed }), replace: !("page" in changed) });
  return (
    <Stack gap="lg">
      <PageTitle name={text("access")} />
      {error ? <Failure error={error} /> : null}
      {!caller && !error ? <Loading /> : null}
      {caller ? (
        <>
          <Caller caller={caller} />
          <Tabs value={tab} onChange={(to) => void navigate({ search: { ...namespace, tab: to as Tab } })}>
            <Tabs.List>
              {TABS.map((one) => (
                <Tabs.Tab key={one} value={one}>
                  {text(one)}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            {TABS.map((one) => (
              <Tabs.Panel key={one} value={one} pt="md">
                {one === tab ? <Part {...{ search, change, caller }} /> : null}
              </Tabs.Panel>
            ))}
          </Tabs>
        </>
      ) : null}
    </Stack>
  );
}
