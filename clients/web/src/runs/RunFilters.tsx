/** What the runs of a list are chosen by. Each filter is in the address. */
import { Group, NativeSelect } from "@mantine/core";
import { useMemo } from "react";

import { NameFilter } from "../components/NameFilter";
import { isComparison, isLabel, RUN_STATES, STORAGES, type RunsSearch } from "../search";
import { useText } from "../text/language";
import { Choice } from "./Choice";
import { experiments, pipelines } from "./choices";
import styles from "./runs.module.css";
import { Words } from "./Words";

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
      <Words
        label={text("labels")}
        hint={text("labelHint")}
        wrong={text("labelForm")}
        fits={isLabel}
        words={search.label}
        choose={(label) => change({ label })}
      />
      <Words
        label={text("parameters")}
        hint={text("givenHint")}
        wrong={text("givenForm")}
        fits={isComparison}
        words={search.given}
        choose={(given) => change({ given })}
      />
    </Group>
  );
}
