/** Shows the secret of a new token. Only its button closes it: whoever clicks beside it would lose what is shown once. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";

import { useFocusBack } from "../components/useFocusBack";
import { useText } from "../text/language";
import styles from "./Access.module.css";

export function Secret({ secret, close }: { readonly secret: string; readonly close: () => void }) {
  const text = useText();
  useFocusBack();
  const clipboard = useClipboard();
  return (
    <Modal
      opened
      onClose={close}
      title={text("tokenMade")}
      lockScroll={false}
      attributes={{ header: { role: "none" } }}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
    >
      <Stack>
        <Text>{text("secretOnce")}</Text>
        <TextInput
          readOnly
          data-autofocus
          label={text("secret")}
          className={styles.secret ?? ""}
          value={secret}
          autoComplete="off"
          onFocus={(event) => event.currentTarget.select()}
        />
        <Group justify="flex-end">
          {/* Browsers let pages write to the clipboard over TLS and on the own machine alone. */}
          {globalThis.isSecureContext ? (
            <Button variant="default" onClick={() => clipboard.copy(secret)}>
              {text(clipboard.copied ? "copied" : "copy")}
            </Button>
          ) : null}
          <Button onClick={close}>{text("kept")}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
