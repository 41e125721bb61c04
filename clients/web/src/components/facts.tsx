/** States, times, durations and failures, shown alike on every page. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Alert, Badge, Button, Text } from "@mantine/core";

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

const TITLES: Readonly<Partial<Record<Code, Key>>> = {
  [Code.NotFound]: "isNotThere",
  [Code.PermissionDenied]: "isNotAllowed",
  [Code.Unauthenticated]: "loggedOut",
};

export function Failure({ error }: { error: unknown }) {
  const text = useText();
  const { code } = ConnectError.from(error);
  return (
    <Alert color="red" title={text(TITLES[code] ?? "failed")} role="alert">
      {reason(error)}
      {code === Code.Unauthenticated ? (
        // The server leads who is not logged in from a page to the log-in, and back to it.
        <Button mt="xs" size="xs" variant="default" display="block" onClick={() => window.location.reload()}>
          {text("logInAgain")}
        </Button>
      ) : null}
    </Alert>
  );
}

export function Loading() {
  const text = useText();
  return <Text c="dimmed">{text("loading")}</Text>;
}
