/** A filter by one of many things, chosen by name: the server is asked for those that match what is typed. */
import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { reason } from "../server";
import { useText } from "../text/language";
import styles from "./runs.module.css";

export interface Option {
  readonly value: string;
  readonly label: string;
}

interface Props {
  readonly kind: string;
  readonly label: string;
  readonly chosen: string | undefined;
  readonly choose: (id: string) => void;
  readonly find: (name: string, signal: AbortSignal) => Promise<Option[]>;
  readonly get: (id: string, signal: AbortSignal) => Promise<Option>;
}

export function Choice({ kind, label, chosen, choose, find, get }: Props) {
  const text = useText();
  const [opened, open] = useState(false);
  const [typed, type] = useState("");
  const [name] = useDebouncedValue(typed, 250);
  const current = useQuery({
    queryKey: ["choice", kind, "chosen", chosen],
    queryFn: ({ signal }) => get(chosen ?? "", signal),
    enabled: chosen !== undefined,
  });
  // The field shows the name of what is chosen; that is no search.
  const part = name === current.data?.label ? "" : name;
  const found = useQuery({
    queryKey: ["choice", kind, "found", part],
    queryFn: ({ signal }) => find(part, signal),
    enabled: opened,
    placeholderData: keepPreviousData,
  });
  // What is gone has a filter still, which can be taken away.
  const own = chosen === undefined ? [] : [current.data ?? { value: chosen, label: chosen }];
  const others = (found.data ?? []).filter(({ value }) => value !== chosen);
  const error = found.error ?? current.error;
  return (
    <Select
      searchable
      clearable
      aria-label={label}
      placeholder={label}
      nothingFoundMessage={found.isPending ? text("loading") : text("nothingFound")}
      error={error ? reason(error) : undefined}
      value={chosen ?? null}
      data={[...own, ...others]}
      classNames={{ option: styles.option ?? "" }}
      comboboxProps={{ width: 320, position: "bottom-start" }}
      filter={({ options }) => options}
      onChange={(value) => choose(value ?? "")}
      onSearchChange={type}
      onDropdownOpen={() => open(true)}
      clearButtonProps={{ "aria-label": `${text("clear")}: ${label}` }}
    />
  );
}
