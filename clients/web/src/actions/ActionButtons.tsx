/** The actions on runs as buttons. Each is for those of the runs whose state it fits, and says how many. */
import { Button, Group, List, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";

import { Confirm } from "../components/Confirm";
import { useMay } from "../components/may";
import { useText } from "../text/language";
import styles from "./actions.module.css";
import { fitting, type Action } from "./fits";

interface Props {
  readonly runs: readonly Run[];
  readonly actions: readonly Action[];
  /** Whether buttons say for how many runs they are. */
  readonly counted: boolean;
  readonly pending: boolean;
  readonly act: (action: Action, runs: readonly Run[]) => void;
}

export function ActionButtons({ runs, actions, counted, pending, act }: Props) {
  const text = useText();
  const may = useMay();
  const [asking, { open, close }] = useDisclosure(false);
  const unfinished = runs.filter(({ state }) => !ended(state)).length;
  const remove = () => {
    close();
    act("delete", runs);
  };
  return (
    <Group gap="xs">
      {actions.filter((action) => may(`runs ${action}`)).map((action) => {
        const fit = fitting(action, runs);
        return (
          <Button
            key={action}
            size="xs"
            {...(action === "delete" ? { variant: "light", color: "red" } : { variant: "default" })}
            disabled={pending || fit.length === 0}
            onClick={() => (action === "delete" ? open() : act(action, fit))}
          >
            {text(action)}
            {counted && fit.length > 0 ? ` (${fit.length})` : ""}
          </Button>
        );
      })}
      <Confirm
        opened={asking}
        title={`${text("runsToDelete")}: ${runs.length}`}
        action={text("delete")}
        close={close}
        confirm={remove}
      >
        <List size="sm" className={styles.names}>
          {runs.map((run) => (
            <List.Item key={run.runId} className={styles.name}>
              <bdi title={run.displayName}>{run.displayName}</bdi>
            </List.Item>
          ))}
        </List>
        {unfinished > 0 ? (
          <Text size="sm" fw={700}>
            {text("notEnded")}: {unfinished}
          </Text>
        ) : null}
        <Text size="sm" c="dimmed">
          {text("deleteLeaves")}
        </Text>
      </Confirm>
    </Group>
  );
}
