/** Turns the pages of a long text; which one is shown is in the address. */
import { Button, Group, Text } from "@mantine/core";

import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { PAGE_BYTES } from "./bytes";

interface Props {
  readonly from: number;
  readonly total: number;
  readonly turn: (from: number) => void;
}

export function TextPages({ from, total, turn }: Props) {
  const text = useText();
  const { language } = useLanguage();
  const shown = (bytes: number) => new Intl.NumberFormat(language).format(bytes);
  const end = Math.min(from + PAGE_BYTES, total);
  const values = { from: shown(Math.min(from + 1, total)), to: shown(end), total: shown(total) };
  return (
    <Group justify="space-between">
      <Text size="sm">{fill(text("bytesOf"), values)}</Text>
      <Group gap="xs">
        <Button
          size="xs"
          variant="default"
          disabled={from === 0}
          onClick={() => turn(Math.max(0, Math.min(from, total) - PAGE_BYTES))}
        >
          {text("previousPage")}
        </Button>
        <Button size="xs" variant="default" disabled={end >= total} onClick={() => turn(end)}>
          {text("nextPage")}
        </Button>
      </Group>
    </Group>
  );
}
