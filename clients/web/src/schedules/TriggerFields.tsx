/** When a recurring run fires: by a cron expression in a zone, or in an interval; from when, until when. */
import { Checkbox, Group, NativeSelect, Radio, Select, Stack, Text, TextInput } from "@mantine/core";

import type { Key } from "../text/en";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { looksLikeMinutesFirst, wordsOf, zoned } from "./cron";
import { type Draft, type Kind, type Unit } from "./draft";
import type { Problems } from "./problems";
import { cronInWords } from "./words";

// No zone has this name.
const SERVERS = "server";
const ZONES: readonly string[] = [...new Set(["UTC", ...Intl.supportedValuesOf("timeZone")])];
const KINDS: Readonly<Record<Kind, Key>> = { cron: "byCron", interval: "byInterval" };
const UNIT_NAMES: readonly Unit[] = ["minutes", "hours", "days"];

interface Props {
  readonly draft: Draft;
  readonly change: (changed: Partial<Draft>) => void;
  readonly problems: Problems;
  /** Empty for UTC. */
  readonly serverZone: string;
}

export function TriggerFields({ draft, change, problems, serverZone }: Props) {
  const text = useText();
  const own = fill(text("inYourZone"), { zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  return (
    <Stack>
      <Radio.Group
        label={text("trigger")}
        value={draft.kind}
        onChange={(kind) => change({ kind: kind === "cron" ? kind : "interval" })}
      >
        <Group mt="xs">
          <Radio value="cron" label={text(KINDS.cron)} />
          <Radio value="interval" label={text(KINDS.interval)} />
        </Group>
      </Radio.Group>
      {draft.kind === "cron" ? (
        <Cron {...{ draft, change, problems, serverZone }} />
      ) : (
        <Interval {...{ draft, change, problems }} />
      )}
      <Group grow align="flex-start">
        <TextInput
          label={text("startTime")}
          description={own}
          type="datetime-local"
          value={draft.start}
          onChange={(event) => change({ start: event.currentTarget.value })}
          error={problems.start}
        />
        <TextInput
          label={text("endTime")}
          description={own}
          type="datetime-local"
          value={draft.end}
          onChange={(event) => change({ end: event.currentTarget.value })}
          error={problems.end}
        />
      </Group>
      <Checkbox
        label={text("catchUp")}
        description={text(draft.catchUp ? "catchUpOn" : "catchUpOff")}
        checked={draft.catchUp}
        onChange={(event) => change({ catchUp: event.currentTarget.checked })}
      />
    </Stack>
  );
}

function Cron({ draft, change, problems, serverZone }: Props) {
  const text = useText();
  const { language } = useLanguage();
  const { cron } = zoned(draft.cron);
  return (
    <Stack gap="xs">
      <TextInput
        label={text("byCron")}
        description={text("cronHint")}
        required
        maxLength={500}
        spellCheck={false}
        value={draft.cron}
        onChange={(event) => change({ cron: event.currentTarget.value })}
        error={problems.cron}
      />
      {problems.cron === undefined && wordsOf(cron) ? <Text size="sm">{cronInWords(cron, text, language)}</Text> : null}
      {looksLikeMinutesFirst(cron) ? (
        <Text size="sm" role="status">
          {fill(text("fiveFields"), { cron })}
        </Text>
      ) : null}
      <Select
        label={text("timeZone")}
        searchable
        allowDeselect={false}
        value={draft.zone || SERVERS}
        onChange={(zone) => change({ zone: zone === SERVERS || zone === null ? "" : zone })}
        data={[
          { value: SERVERS, label: fill(text("serverZone"), { zone: serverZone || "UTC" }) },
          ...withZone(draft.zone),
        ]}
        error={problems.zone}
      />
    </Stack>
  );
}

function Interval({ draft, change, problems }: Omit<Props, "serverZone">) {
  const text = useText();
  return (
    <Group grow align="flex-start">
      <TextInput
        label={text("every")}
        type="number"
        min={1}
        required
        value={draft.amount}
        onChange={(event) => change({ amount: event.currentTarget.value })}
        error={problems.amount}
      />
      <NativeSelect
        label={text("unit")}
        value={draft.unit}
        onChange={(event) => {
          const unit = UNIT_NAMES.find((one) => one === event.currentTarget.value);
          if (unit) change({ unit });
        }}
        data={UNIT_NAMES.map((value) => ({ value, label: text(value) }))}
      />
    </Group>
  );
}

/** The browser's own may have a name that it does not list. */
function withZone(zone: string): readonly string[] {
  return zone === "" || ZONES.includes(zone) ? ZONES : [zone, ...ZONES];
}
