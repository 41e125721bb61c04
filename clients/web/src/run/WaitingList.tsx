/** Which tasks of a run cannot start yet, and why; each name leads to the task. */
import { Stack, Text } from "@mantine/core";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./WaitingList.module.css";
import type { WaitingTasks } from "./waits";

export function WaitingList({ runId, waiting: { shown, total } }: { runId: string; waiting: WaitingTasks }) {
  const text = useText();
  const namespace = useNamespace();
  if (shown.length === 0) return null;
  return (
    <Stack component="ul" gap={2} className={styles.list} aria-label={text("waitingTasks")}>
      {shown.map(({ path, name, why }) => (
        <Text component="li" key={path} size="sm" className={styles.words}>
          <TextLink
            to="/runs/$runId"
            params={{ runId }}
            search={{ ...namespace, task: path }}
            inherit
            underline="always"
            title={path}
          >
            <bdi>{name}</bdi>
          </TextLink>
          {": "}
          {why}
        </Text>
      ))}
      {total > shown.length ? (
        <Text component="li" size="sm" c="dimmed">
          {fill(text("moreWaiting"), { count: total - shown.length })}
        </Text>
      ) : null}
    </Stack>
  );
}
