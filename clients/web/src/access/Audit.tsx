/** The audit log, newest first: who did, or was refused, what to which object. */
import { Group, NativeSelect, Stack, Text } from "@mantine/core";

import { Loading } from "../components/facts";
import { NameFilter } from "../components/NameFilter";
import { Pager } from "../components/Pager";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { AuditTable } from "./AuditTable";
import type { Part } from "./part";
import { Place } from "./Place";
import { useAudit } from "./queries";
import { Refusal } from "./Refusal";
import { TimeFilter } from "./TimeFilter";
import { choices, RESOURCES, RESULTS, VERBS } from "./words";

const FILTERS = [
  ["verb", "deed", "anyDeed", VERBS],
  ["resource", "object", "anyObject", RESOURCES],
  ["result", "result", "anyResult", RESULTS],
] as const satisfies readonly (readonly [string, Key, Key, Readonly<Record<string, Key>>])[];

const PERIOD = ["from", "until"] as const;

export function Audit({ search, change }: Part) {
  const text = useText();
  const { data, error, isPending } = useAudit(search);
  return (
    <Stack>
      <Group>
        <Place {...{ search, change }} />
        <NameFilter label={text("userInFull")} name={search.user} change={(user) => change({ user })} />
        {FILTERS.map(([filter, label, any, words]) => (
          <NativeSelect
            key={filter}
            aria-label={text(label)}
            value={search[filter] ?? ""}
            onChange={(event) => change({ [filter]: event.currentTarget.value })}
            data={choices(text, any, words)}
          />
        ))}
        {PERIOD.map((end) => (
          <TimeFilter key={end} label={text(end)} at={search[end]} change={(at) => change({ [end]: at })} />
        ))}
      </Group>
      <Refusal error={error} refused="mayNotSeeAudit" />
      {isPending ? <Loading /> : null}
      {data?.auditEvents.length === 0 ? <Text c="dimmed">{text("noLines")}</Text> : null}
      {data && data.auditEvents.length > 0 ? <AuditTable events={data.auditEvents} /> : null}
      <Pager page={search.page} next={data?.nextPageToken ?? ""} go={(page) => change({ page })} />
    </Stack>
  );
}
