/** A form in a dialog; what the server has against it is said there. */
import { Button, Group, Modal, Stack } from "@mantine/core";
import type { ReactNode } from "react";

import { useFocusBack } from "../components/useFocusBack";
import { useText } from "../text/language";
import { Refusal } from "./Refusal";

interface Props {
  readonly title: string;
  /** What the button says that goes on. */
  readonly action: string;
  readonly error: unknown;
  readonly pending: boolean;
  readonly close: () => void;
  readonly submit: () => void;
  readonly children: ReactNode;
}

export function FormDialog({ title, action, error, pending, close, submit, children }: Props) {
  const text = useText();
  useFocusBack();
  return (
    <Modal
      opened
      onClose={close}
      title={title}
      lockScroll={false}
      // A page has one banner, which is not this.
      attributes={{ header: { role: "none" } }}
      closeButtonProps={{ "aria-label": text("close") }}
    >
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Stack>
          {children}
          <Refusal error={error} refused="mayNotDoThis" />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {text("cancel")}
            </Button>
            <Button type="submit" loading={pending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
