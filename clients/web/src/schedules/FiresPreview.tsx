/** When a trigger would fire, as somebody types it. */
import { Stack, Text, Title } from "@mantine/core";
import type { NextFires } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { UseQueryResult } from "@tanstack/react-query";

import { Failure } from "../components/facts";
import { useText } from "../text/language";
import { FireList } from "./FireList";
import styles from "./Schedules.module.css";

interface Props {
  readonly preview: UseQueryResult<NextFires>;
  /** False while what is typed is no trigger. */
  readonly asked: boolean;
  /** Whether the times before now are left out. */
  readonly cut: boolean;
  /** Whether something else has been typed since. */
  readonly stale: boolean;
  /** Whether its error is shown at a field. */
  readonly told: boolean;
}

export function FiresPreview({ preview, asked, cut, stale, told }: Props) {
  const text = useText();
  const shown = asked && !preview.error ? preview.data : undefined;
  return (
    <Stack
      component="section"
      aria-label={text("previewOfFires")}
      aria-live="polite"
      aria-busy={stale || preview.isPlaceholderData}
      className={styles.preview}
      gap="xs"
    >
      <Title order={3} size="h5">
        {text("previewOfFires")}
      </Title>
      {preview.error && !told ? <Failure error={preview.error} /> : null}
      {shown === undefined ? <Text c="dimmed">–</Text> : null}
      {shown && cut ? <Text size="sm">{text("madeUpAtOnce")}</Text> : null}
      {shown ? <FireList of={shown} now={preview.dataUpdatedAt} /> : null}
      {shown?.reason ? <Text c="dimmed">{shown.reason}</Text> : null}
    </Stack>
  );
}
