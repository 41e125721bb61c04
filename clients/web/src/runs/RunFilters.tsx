/** What the runs of a list are chosen by. Each filter is in the address. */
import { Group, NativeSelect, TagsInput } from "@mantine/core";
import { useMemo, useState } from "react";

import { NameFilter } from "../components/NameFilter";
import { isLabel, RUN_STATES, STORAGES, type RunsSearch } from "../search";
import { useText } from "../text/language";
import { Choice } from "./Choice";
import { experiments, pipelines } from "./choices";
import styles from "./runs.module.css";

interface Props {
  readonly search: RunsSearch;
  readonly change: (changed: Record<string, unknown>) => void;
  /** Whether all runs are of one experiment anyway. */
  readonly narrowed: boolean;
}

export function RunFilters({ search, change, narrowed }: Props) {
  const text = useText();
  const namespace = search.namespace ?? "";
  const ofExperiments = useMemo(() => experiments(namespace), [namespace]);
  const ofPipelines = useMemo(() => pipelines(namespace), [namespace]);
  const [labelIsWrong, setLabelIsWrong] = useState(false);
  return (
    <Group align="flex-start" className={styles.filters}>
      <NameFilter name={search.name} change={(name) => change({ name })} />
      <NativeSelect
        aria-label={text("state")}
        value={search.state ?? ""}
        onChange={(event) => change({ state: event.currentTarget.value })}
        data={[
          { value: "", label: text("anyState") },
          ...RUN_STATES.map((value) => ({ value, label: text(value) })),
        ]}
      />
      <NativeSelect
        aria-label={text("storage")}
        value={search.storage ?? "active"}
        onChange={(event) => change({ storage: event.currentTarget.value })}
        data={STORAGES.map((value) => ({ value, label: text(value) }))}
      />
      {narrowed ? null : (
        <Choice
          kind={`experiment ${namespace}`}
          label={text("experiment")}
          chosen={search.experiment}
          choose={(experiment) => change({ experiment })}
          {...ofExperiments}
        />
      )}
      <Choice
        kind={`pipeline ${namespace}`}
        label={text("pipeline")}
        chosen={search.pipeline}
        choose={(pipeline) => change({ pipeline })}
        {...ofPipelines}
      />
      <TagsInput
        aria-label={text("labels")}
        placeholder={search.label ? "" : text("labelHint")}
        value={[...(search.label ?? [])]}
        splitChars={[]}
        error={labelIsWrong ? text("labelForm") : undefined}
        onChange={(words) => {
          setLabelIsWrong(!words.every(isLabel));
          change({ label: words.filter(isLabel) });
        }}
      />
    </Group>
  );
}
