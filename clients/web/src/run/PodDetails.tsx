/** The Pod, or the local process, of a task's latest attempt: its events, and the document that Kubernetes has of it. */
import { Code, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { Failure, Loading, Time } from "../components/facts";
import { penstock } from "../server";
import { useText } from "../text/language";
import { eventsOf } from "./events";
import styles from "./TaskPanel.module.css";

interface Props {
  readonly runId: string;
  readonly podName: string;
  /** What is known changes with it. */
  readonly state: string;
}

export function PodDetails({ runId, podName, state }: Props) {
  const text = useText();
  const { data, error } = useQuery({
    queryKey: ["pod", runId, podName, state],
    queryFn: ({ signal }) => penstock.insight.describePod({ runId, podName }, { signal }),
  });
  if (error) return <Failure error={error} />;
  if (!data) return <Loading />;
  const events = eventsOf(data.events);
  return (
    <>
      <Text size="sm">{podName}</Text>
      {events.length === 0 ? <Text c="dimmed">{text("noEvents")}</Text> : null}
      {events.length > 0 ? (
        <div className={styles.wide} tabIndex={0} role="region" aria-label={text("events")}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{text("time")}</Table.Th>
                <Table.Th>{text("reason")}</Table.Th>
                <Table.Th>{text("message")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {events.map(({ at, type, reason, message }, index) => (
                <Table.Tr key={index}>
                  <Table.Td>
                    <Time at={at} />
                  </Table.Td>
                  <Table.Td {...(type === "Warning" && { c: "red" })}>{reason}</Table.Td>
                  <Table.Td>{message}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      ) : null}
      <Code block className={styles.wide} tabIndex={0}>
        {JSON.stringify(data.pod, null, 2)}
      </Code>
    </>
  );
}
