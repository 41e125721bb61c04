/** Stands in for a page that could not be shown: a file of the UI that is not there any more, or a fault in it. */
import { Button, Stack } from "@mantine/core";
import type { ErrorComponentProps } from "@tanstack/react-router";

import { useText } from "../text/language";
import { Failure } from "./facts";

export function Broken({ error }: ErrorComponentProps) {
  const text = useText();
  return (
    <Stack align="flex-start">
      <Failure error={error} />
      <Button variant="default" onClick={() => window.location.reload()}>
        {text("loadAgain")}
      </Button>
    </Stack>
  );
}
