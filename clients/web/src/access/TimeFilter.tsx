/** Filters by a point in time, in the reader's zone. The address has it, and may change by itself: the field follows it,
 * but not while something else is typed that is no time yet. */
import { TextInput } from "@mantine/core";
import { useState } from "react";

import { timeToType, typedTime } from "../time";

interface Props {
  readonly label: string;
  readonly at: number | undefined;
  readonly change: (at: number | undefined) => void;
}

export function TimeFilter({ label, at, change }: Props) {
  const [typed, type] = useState(at === undefined ? "" : timeToType(at));
  const [address, see] = useState(at);
  if (at !== address) {
    see(at);
    if (typedTime(typed) !== at) type(at === undefined ? "" : timeToType(at));
  }
  return (
    <TextInput
      type="datetime-local"
      aria-label={label}
      leftSection={label}
      leftSectionWidth="4rem"
      value={typed}
      onChange={({ currentTarget: { value } }) => {
        type(value);
        change(typedTime(value));
      }}
    />
  );
}
