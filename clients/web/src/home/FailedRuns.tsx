/** What failed within a day, the latest first, each with the first line of its error. */
import { Table, Text } from "@mantine/core";
import type { ListRunsResponse } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import type { UseQueryResult } from "@tanstack/react-query";

import { Failure, Loading, Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { Section } from "../components/Section";
import { useText } from "../text/language";
import { millis } from "../time";
import { firstLine } from "./filters";
import styles from "./Home.module.css";
import { RunLink } from "./RunLink";

export function FailedRuns({ runs }: { runs: UseQueryResult<ListRunsResponse> }) {
  const text = useText();
  const namespace = useNamespace();
  const found = runs.data?.runs ?? [];
  const all = (
    <TextLink to="/runs" search={{ ...namespace, state: "FAILED" }} size="sm">
      {text("allFailed")}
    </TextLink>
  );
  return (
    <Section title={text("failedLately")} aside={all}>
      {runs.error ? <Failure error={runs.error} /> : null}
      {runs.isPending ? <Loading /> : null}
      {runs.data && found.length === 0 ? <Text c="dimmed">{text("nothingFailed")}</Text> : null}
      {found.length > 0 ? (
        <Table.ScrollContainer minWidth={560} type="native">
          <Table highlightOnHover className={styles.failed}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{text("run")}</Table.Th>
                <Table.Th scope="col">{text("error")}</Table.Th>
                <Table.Th scope="col">{text("ended")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {found.map((run) => {
                const error = firstLine(run.error?.message ?? "");
                return (
                  <Table.Tr key={run.runId}>
                    <Table.Td>
                      <RunLink run={run} />
                    </Table.Td>
                    <Table.Td className={styles.cut} title={error}>
                      {error || "–"}
                    </Table.Td>
                    <Table.Td>
                      <Time at={millis(run.finishedAt)} />
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
    </Section>
  );
}
