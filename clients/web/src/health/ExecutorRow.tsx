/** One executor as a row. How long ago it was heard of is by the database's clock, not by the reader's. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Progress, Table, Text } from "@mantine/core";
import type { ExecutorOverview } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { lasted, millis, shownDuration } from "../time";
import styles from "./Health.module.css";
import { attemptsOf } from "./places";

interface Props {
  readonly executor: ExecutorOverview;
  readonly at: Timestamp | undefined;
}

export function ExecutorRow({ executor, at }: Props) {
  const { name, backend, version, heldRuns, places } = executor;
  const { waiting } = attemptsOf(executor);
  return (
    <Table.Tr>
      <Table.Th scope="row" className={styles.name} title={name}>
        {name}
      </Table.Th>
      <Table.Td>{backend || "–"}</Table.Td>
      <Table.Td>{version || "–"}</Table.Td>
      <Table.Td>{heldRuns}</Table.Td>
      <Table.Td>
        <Busy executor={executor} />
      </Table.Td>
      <Table.Td>{places > 0 ? <Text fw={waiting > 0 ? 600 : 400}>{waiting}</Text> : "–"}</Table.Td>
      <Table.Td>
        <Ago of={millis(executor.seenAt)} at={millis(at)} />
      </Table.Td>
    </Table.Tr>
  );
}

function Busy({ executor }: { executor: ExecutorOverview }) {
  const text = useText();
  const { places } = executor;
  const { busy, waiting } = attemptsOf(executor);
  if (places <= 0) return <>{busy}</>;
  return (
    <div className={styles.busy}>
      {fill(text("busyOfPlaces"), { busy, places })}
      <Progress.Root size={6} aria-hidden>
        <Progress.Section withAria={false} value={(100 * busy) / places} color={waiting > 0 ? "orange" : "blue"} />
      </Progress.Root>
    </div>
  );
}

function Ago({ of, at }: { of: number | undefined; at: number | undefined }) {
  const text = useText();
  const { language } = useLanguage();
  const passed = at === undefined ? undefined : lasted(of, undefined, at);
  if (of === undefined || passed === undefined) return <>–</>;
  const utc = new Date(of).toISOString();
  return (
    <time dateTime={utc} title={utc} className={styles.whole}>
      {fill(text("ago"), { duration: shownDuration(passed, language) })}
    </time>
  );
}
