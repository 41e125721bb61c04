/** Who carries runs out, or how to have somebody do it. */
import { Code, Stack, Table, Text } from "@mantine/core";
import type { Overview } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { Section } from "../components/Section";
import { useText } from "../text/language";
import { ExecutorRow } from "./ExecutorRow";

const START = "penstock-executor --server HOST:PORT";
const START_BOTH = "penstock up";
const COLUMNS = ["executor", "backend", "version", "heldRuns", "busyAttempts", "waitingAttempts", "heardOf"] as const;

export function Executors({ overview }: { overview: Overview }) {
  const text = useText();
  const { executors } = overview;
  return (
    <Section title={text("executors")}>
      {executors.length === 0 ? (
        <Stack gap="xs">
          <Text size="sm">{text("startExecutor")}</Text>
          <Code block>{START}</Code>
          <Text size="sm">{text("startBoth")}</Text>
          <Code block>{START_BOTH}</Code>
        </Stack>
      ) : (
        <Table.ScrollContainer minWidth={720} type="native">
          <Table highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                {COLUMNS.map((key) => (
                  <Table.Th key={key} scope="col">
                    {text(key)}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {executors.map((executor) => (
                <ExecutorRow key={executor.name} executor={executor} at={overview.at} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Section>
  );
}
