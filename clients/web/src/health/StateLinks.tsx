/** How many runs there are in each state, each number as a way to those runs. */
import { Group } from "@mantine/core";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { RUN_STATES } from "../search";
import { fill } from "../text/fill";
import type { Key } from "../text/en";
import { useText } from "../text/language";

export function StateLinks({ counts }: { counts: Readonly<Record<string, number>> }) {
  const text = useText();
  const namespace = useNamespace();
  const states = Object.entries(counts).filter(([, count]) => count > 0);
  return (
    <Group gap="md">
      {states.map(([name, count]) => {
        const state = RUN_STATES.find((one) => one === name);
        const words = fill(text("countInState"), { state: text(name as Key), count });
        // The list has no filter for a state that this page does not know.
        if (!state) return <span key={name}>{words}</span>;
        return (
          <TextLink key={name} to="/runs" search={{ ...namespace, state }} size="sm">
            {words}
          </TextLink>
        );
      })}
    </Group>
  );
}
