/** Which recurring run has started a run, as a link to it unless it was deleted. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Anchor, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { penstock } from "../server";
import { useText } from "../text/language";
import styles from "./Schedules.module.css";

export function StartedBy({ recurringRunId }: { recurringRunId: string }) {
  const text = useText();
  const found = useQuery({
    queryKey: ["recurringRun", recurringRunId],
    queryFn: ({ signal }) => penstock.recurringRuns.getRecurringRun({ recurringRunId }, { signal }),
  });
  const deleted = found.error !== null && ConnectError.from(found.error).code === Code.NotFound;
  return (
    <Group gap={6}>
      <Text size="sm">{text("startedBy")}</Text>
      {deleted ? (
        <Text size="sm">
          {recurringRunId} ({text("deletedSince")})
        </Text>
      ) : (
        <Anchor
          component={Link}
          underline="always"
          to={`/recurring-runs/${encodeURIComponent(recurringRunId)}`}
          className={styles.name}
          size="sm"
        >
          {found.data?.displayName ?? recurringRunId}
        </Anchor>
      )}
    </Group>
  );
}
