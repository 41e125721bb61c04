/** What a timeline is zoomed and moved with where there is no wheel. */
import { ActionIcon, Button, Group, Text } from "@mantine/core";

import { useText } from "../text/language";
import type { Range } from "./spans";
import styles from "./RunPage.module.css";
import { moved, zoomed } from "./zoom";

interface Props {
  readonly range: Range;
  readonly whole: Range;
  readonly change: (range: Range | undefined) => void;
}

export function ZoomButtons({ range, whole, change }: Props) {
  const text = useText();
  const all = range.from <= whole.from && range.to >= whole.to;
  const buttons = [
    { key: "zoomIn", sign: "+", off: false, to: () => zoomed(range, whole, 0.5) },
    { key: "zoomOut", sign: "−", off: all, to: () => zoomed(range, whole, 2) },
    { key: "earlier", sign: "‹", off: range.from <= whole.from, to: () => moved(range, whole, -0.5) },
    { key: "later", sign: "›", off: range.to >= whole.to, to: () => moved(range, whole, 0.5) },
  ] as const;
  return (
    <Group gap="xs">
      {buttons.map(({ key, sign, off, to }) => (
        <ActionIcon
          key={key}
          variant="default"
          aria-label={text(key)}
          title={text(key)}
          disabled={off}
          onClick={() => change(to())}
        >
          {sign}
        </ActionIcon>
      ))}
      <Button variant="default" size="compact-sm" disabled={all} onClick={() => change(undefined)}>
        {text("wholeTime")}
      </Button>
      <span className={`${styles.sample} ${styles.waits}`} />
      <Text size="sm">{text("waited")}</Text>
      <span className={`${styles.sample} ${styles.runs}`} />
      <Text size="sm">{text("ran")}</Text>
      <Text size="sm" c="dimmed" className={styles.hint ?? ""}>
        {text("wheelHint")}
      </Text>
    </Group>
  );
}
