/** Asks before something that is not easily undone. The page behind it is left as it is: a scroll lock would be a style
 * that the Content-Security-Policy refuses. */
import { Button, Group, Modal, Stack } from "@mantine/core";
import type { ReactNode } from "react";

import { useText } from "../text/language";

interface Props {
  readonly opened: boolean;
  readonly title: string;
  /** What the button says that goes on. */
  readonly action: string;
  readonly color?: string;
  readonly close: () => void;
  readonly confirm: () => void;
  readonly children: ReactNode;
}

export function Confirm({ opened, title, action, color = "red", close, confirm, children }: Props) {
  const text = useText();
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={title}
      lockScroll={false}
      // A page has one banner, which is not this.
      attributes={{ header: { role: "none" } }}
      closeButtonProps={{ "aria-label": text("close") }}
    >
      <Stack>
        {children}
        <Group justify="flex-end">
          <Button variant="default" onClick={close} data-autofocus>
            {text("cancel")}
          </Button>
          <Button color={color} onClick={confirm}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
