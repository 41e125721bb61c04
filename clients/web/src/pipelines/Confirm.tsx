/** Asks before something goes for good, and says what the server has against it. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";

import { useFocusBack } from "../components/useFocusBack";
import { useText } from "../text/language";
import styles from "./Pipelines.module.css";
import { Refused } from "./Refused";

interface Props {
  readonly title: string;
  readonly name: string;
  readonly question: string;
  readonly close: () => void;
  /** Rejects with what the server says against it. */
  readonly act: () => Promise<void>;
}

export function Confirm({ title, name, question, close, act }: Props) {
  const text = useText();
  useFocusBack();
  const acting = useMutation({ mutationFn: act });
  return (
    <Modal opened onClose={close} title={title} lockScroll={false} closeButtonProps={{ "aria-label": text("close") }}>
      <Stack>
        <Text fw={600} className={`${styles.text} ${styles.bounded}`}>
          {name}
        </Text>
        <Text>{question}</Text>
        <Refused error={acting.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close} data-autofocus>
            {text("cancel")}
          </Button>
          <Button color="red.9" loading={acting.isPending} onClick={() => acting.mutate()}>
            {text("delete")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
