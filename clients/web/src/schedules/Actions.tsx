/** Enables, disables and deletes a recurring run; what the server says against it is shown beside the buttons. */
import { Button, Checkbox, Group, Modal, Stack, Text } from "@mantine/core";
import { RecurringRun_Status, type RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";
import { useState } from "react";

import { Failure } from "../components/facts";
import { useMay } from "../components/may";
import { useText } from "../text/language";
import { useAction } from "./queries";
import styles from "./Schedules.module.css";

interface Props {
  readonly of: RecurringRun;
  readonly deleted?: () => void;
}

export function Actions({ of, deleted }: Props) {
  const text = useText();
  const may = useMay();
  const [asked, ask] = useState(false);
  const [terminate, setTerminate] = useState(false);
  const action = useAction(of.recurringRunId, (done) => {
    if (!done.startsWith("delete")) return;
    ask(false);
    deleted?.();
  });
  const switched = of.status === RecurringRun_Status.ENABLED ? "disable" : "enable";
  return (
    <Stack gap="xs">
      <Group gap="xs" wrap="nowrap">
        {may(`jobs ${switched}`) ? (
          <Button size="xs" variant="default" loading={action.isPending} onClick={() => action.mutate(switched)}>
            {text(switched)}
          </Button>
        ) : null}
        {may("jobs delete") ? (
          <Button size="xs" variant="default" onClick={() => (action.reset(), ask(true))}>
            {text("delete")}
          </Button>
        ) : null}
      </Group>
      {action.error && !asked ? <Failure error={action.error} /> : null}
      {/* What keeps the page behind from scrolling would need a style that the page's policy refuses. */}
      <Modal
        opened={asked}
        onClose={() => ask(false)}
        title={text("deleteRecurringRun")}
        closeButtonProps={{ "aria-label": text("close") }}
        lockScroll={false}
      >
        <Stack>
          <Text fw={600} className={styles.long} lineClamp={4}>
            {of.displayName}
          </Text>
          <Text>{text("deleteKeepsRuns")}</Text>
          <Checkbox
            label={text("terminateItsRuns")}
            checked={terminate}
            onChange={(event) => setTerminate(event.currentTarget.checked)}
          />
          {action.error ? <Failure error={action.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => ask(false)}>
              {text("cancel")}
            </Button>
            <Button
              color="red"
              loading={action.isPending}
              onClick={() => action.mutate(terminate ? "deleteAndTerminate" : "delete")}
            >
              {text("delete")}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Stack>
  );
}
