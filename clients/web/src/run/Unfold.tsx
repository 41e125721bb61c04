/** A part of the panel that is asked for only when a reader opens it. */
import { Button, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import type { ReactNode } from "react";

export function Unfold({ label, children }: { readonly label: string; readonly children: () => ReactNode }) {
  const [opened, { toggle }] = useDisclosure(false);
  return (
    <Stack gap="xs" component="section" aria-label={label}>
      <Button variant="default" aria-expanded={opened} onClick={toggle}>
        {label}
      </Button>
      {opened ? children() : null}
    </Stack>
  );
}
