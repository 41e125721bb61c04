/** The field that tasks are searched in by their names. What is written is in the address a moment later. */
import { Kbd, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { getRouteApi } from "@tanstack/react-router";
import { useRef, useState } from "react";

import { useShortcuts } from "../components/useShortcuts";
import { useText } from "../text/language";

const route = getRouteApi("/runs/$runId");
const AFTER_MS = 150;

export function TaskSearch({ name }: { name: string }) {
  const text = useText();
  const navigate = route.useNavigate();
  const field = useRef<HTMLInputElement>(null);
  const [written, write] = useState(name);
  const search = useDebouncedCallback((wanted: string) => {
    void navigate({
      search: ({ name: _, ...old }) => (wanted === "" ? old : { ...old, name: wanted }),
      replace: true,
    });
  }, AFTER_MS);
  useShortcuts({ search: () => field.current?.select() });
  return (
    <TextInput
      ref={field}
      type="search"
      size="xs"
      aria-label={text("searchTasks")}
      placeholder={text("searchTasks")}
      rightSection={<Kbd size="xs">/</Kbd>}
      rightSectionPointerEvents="none"
      value={written}
      onChange={({ currentTarget: { value } }) => {
        write(value);
        search(value);
      }}
      onKeyDown={({ key, currentTarget }) => (key === "Escape" || key === "Enter") && currentTarget.blur()}
    />
  );
}
