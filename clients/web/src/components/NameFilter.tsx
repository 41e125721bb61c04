/** Filters a list by a part of the name, or by what another label says. The address has what was typed a moment ago, and may change by itself: the
 * field follows a link or the way back, but not what it has said itself. */
import { TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useState } from "react";

import { useText } from "../text/language";

interface Props {
  readonly name: string | undefined;
  readonly change: (name: string) => void;
  readonly label?: string;
}

export function NameFilter({ name = "", change, label: own }: Props) {
  const text = useText();
  const label = own ?? text("filterByName");
  const [typed, type] = useState(name);
  const [address, see] = useState(name);
  const [said, say] = useState(name);
  if (name !== address) {
    see(name);
    if (name !== said) {
      say(name);
      type(name);
    }
  }
  const filter = useDebouncedCallback((part: string) => {
    say(part);
    change(part);
  }, 250);
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={label}
      value={typed}
      maxLength={200}
      onChange={(event) => {
        type(event.currentTarget.value);
        filter(event.currentTarget.value);
      }}
    />
  );
}
