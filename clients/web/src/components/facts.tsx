/** States, times, durations and failures, shown alike on every page. */
import { Alert, Badge, Text } from "@mantine/core";

import { reason } from "../server";
import { shownDuration, shownTime } from "../time";
import type { Key } from "../text/en";
import { useLanguage, useText } from "../text/language";

export const COLOURS: Readonly<Record<string, string>> = {
  RUNNING: "blue",
  SUCCEEDED: "green",
  CACHED: "teal",
  FAILED: "red",
  CANCELING: "orange",
  CANCELED: "orange",
  SKIPPED: "grape",
};

export function State({ state }: { state: string }) {
  const text = useText();
  return (
    <Badge variant="light" color={COLOURS[state] ?? "gray"} data-state={state}>
      {text(state as Key)}
    </Badge>
  );
}

/** In the reader's zone; in UTC under the pointer. */
export function Time({ at }: { at: number | undefined }) {
  const { language } = useLanguage();
  if (at === undefined) return <span>–</span>;
  const utc = new Date(at).toISOString();
  return (
    <time dateTime={utc} title={utc}>
      {shownTime(at, language)}
    </time>
  );
}

export function Duration({ of }: { of: number | undefined }) {
  const { language } = useLanguage();
  return <span>{of === undefined ? "–" : shownDuration(of, language)}</span>;
}

export function Failure({ error }: { error: unknown }) {
  const text = useText();
  return (
    <Alert color="red" title={text("failed")} role="alert">
      {reason(error)}
    </Alert>
  );
}

export function Loading() {
  const text = useText();
  return <Text c="dimmed">{text("loading")}</Text>;
}
