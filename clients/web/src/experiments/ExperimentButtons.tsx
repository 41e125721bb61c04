/** What may be done to an experiment. Archiving asks first, since not all of it is undone by unarchiving. */
import { Button, Group, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import type { Experiment } from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";

import { Confirm } from "../components/Confirm";
import { useMay } from "../components/may";
import { useText } from "../text/language";
import styles from "./experiments.module.css";
import { isArchived } from "./queries";
import type { Order } from "./useExperimentActions";

interface Props {
  readonly experiment: Experiment;
  readonly pending: boolean;
  readonly act: (order: Order) => void;
}

export function ExperimentButtons({ experiment, pending, act }: Props) {
  const text = useText();
  const may = useMay();
  const [archiving, archive] = useDisclosure(false);
  const [deleting, remove] = useDisclosure(false);
  const name = <bdi className={styles.whole}>{experiment.displayName}</bdi>;
  return (
    <Group gap="xs" wrap="nowrap">
      {isArchived(experiment) && may("experiments unarchive") ? (
        <Button size="xs" variant="default" disabled={pending} onClick={() => act({ action: "unarchive", experiment })}>
          {text("unarchive")}
        </Button>
      ) : null}
      {!isArchived(experiment) && may("experiments archive") ? (
        <Button size="xs" variant="default" disabled={pending} onClick={archive.open}>
          {text("archive")}
        </Button>
      ) : null}
      {may("experiments delete") ? (
        <Button size="xs" variant="light" color="red" disabled={pending} onClick={remove.open}>
          {text("delete")}
        </Button>
      ) : null}
      <Confirm
        opened={archiving}
        title={text("archiveExperiment")}
        action={text("archive")}
        color="blue"
        close={archive.close}
        confirm={() => {
          archive.close();
          act({ action: "archive", experiment });
        }}
      >
        {name}
        <Text size="sm">{text("archiveArchives")}</Text>
      </Confirm>
      <Confirm
        opened={deleting}
        title={text("deleteExperiment")}
        action={text("delete")}
        close={remove.close}
        confirm={() => {
          remove.close();
          act({ action: "delete", experiment });
        }}
      >
        {name}
        <Text size="sm">{text("deleteKeeps")}</Text>
      </Confirm>
    </Group>
  );
}
