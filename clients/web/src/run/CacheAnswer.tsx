/** Whether the task was answered from the cache, and if not, what differs from the nearest result that is kept. */
import { Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { Failure, Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { penstock } from "../server";
import { useText } from "../text/language";
import styles from "./TaskPanel.module.css";

interface Props {
  readonly runId: string;
  readonly path: string;
  /** The answer changes with it. */
  readonly state: string;
}

export function CacheAnswer({ runId, path, state }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const { data, error } = useQuery({
    queryKey: ["cache answer", runId, path, state],
    queryFn: ({ signal }) => penstock.insight.explainCache({ runId, task: path }, { signal }),
  });
  if (error) return <Failure error={error} />;
  if (!data) return <Loading />;
  return (
    <>
      <Text size="sm">{data.summary}</Text>
      {data.otherRunId ? (
        <TextLink
          size="sm"
          to="/runs/$runId"
          params={{ runId: data.otherRunId }}
          search={{ ...namespace, task: data.otherTask }}
        >
          {text("otherRun")}
        </TextLink>
      ) : null}
      {data.differences.length > 0 ? (
        <div className={styles.wide} tabIndex={0} role="region" aria-label={text("differences")}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{text("partOfKey")}</Table.Th>
                <Table.Th>{text("thisTask")}</Table.Th>
                <Table.Th>{text("nearestResult")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.differences.map(({ field, thisValue, otherValue }) => (
                <Table.Tr key={field}>
                  <Table.Th scope="row">{field}</Table.Th>
                  <Table.Td>{thisValue}</Table.Td>
                  <Table.Td>{otherValue}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      ) : null}
    </>
  );
}
