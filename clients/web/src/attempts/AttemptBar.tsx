/** One attempt in a timeline. The pointer shows what it is exactly; the panel of its task says the same to the keyboard. */
import { Group, Popover, Text } from "@mantine/core";
import { memo, useState } from "react";

import { State } from "../components/facts";
import { partOf, type Range } from "../run/spans";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Attempts.module.css";
import { extentOf, type Tried } from "./phases";
import { PhaseBar } from "./PhaseBar";
import { PhaseList } from "./PhaseList";

interface Props {
  readonly attempt: Tried;
  readonly range: Range;
  readonly now: number;
}

export const AttemptBar = memo(function AttemptBar({ attempt, range, now }: Props) {
  const [near, setNear] = useState(false);
  const extent = extentOf(attempt, now);
  const part = extent && partOf(extent.from, extent.to, range);
  if (!extent || !part) return null;
  const shown = { from: Math.max(extent.from, range.from), to: Math.min(extent.to, range.to) };
  return (
    <span
      className={styles.attempt}
      data-bar={attempt.number}
      style={{ left: `${part.at * 100}%`, width: `${part.share * 100}%` }}
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
    >
      <PhaseBar attempt={attempt} range={shown} now={now} />
      {near ? <Card attempt={attempt} now={now} /> : null}
    </span>
  );
});

function Card({ attempt, now }: Omit<Props, "range">) {
  const text = useText();
  return (
    <Popover opened offset={0} position="bottom" shadow="md" withRoles={false} transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <span className={styles.whole} />
      </Popover.Target>
      <Popover.Dropdown data-card onClick={(event) => event.stopPropagation()}>
        <Group gap="xs" mb={4}>
          <Text size="sm" fw={700}>
            {fill(text("attempt"), { number: attempt.number })}
          </Text>
          <State state={attempt.state} />
        </Group>
        <PhaseList spans={attempt.spans} now={now} />
      </Popover.Dropdown>
    </Popover>
  );
}
