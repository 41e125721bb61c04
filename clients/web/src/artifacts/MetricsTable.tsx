/** Metrics that are single values, as a table. */
import type { JsonObject } from "@bufbuild/protobuf";
import { Table, Text } from "@mantine/core";

import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import { scalars } from "./metrics";

export function MetricsTable({ of }: { of: JsonObject | undefined }) {
  const text = useText();
  const found = scalars(of);
  if (found.length === 0) return <Text c="dimmed">{text("noMetrics")}</Text>;
  return (
    <div className={styles.scroll} tabIndex={0} role="region" aria-label={text("preview")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{text("metric")}</Table.Th>
            <Table.Th>{text("value")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {found.map(([name, value]) => (
            <Table.Tr key={name}>
              <Table.Th scope="row" className={styles.label} title={name}>
                {name}
              </Table.Th>
              <Table.Td className={styles.label} title={value}>
                {value}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
