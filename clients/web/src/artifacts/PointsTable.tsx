/** The points of a curve in numbers, for those who cannot see the chart or want to know exactly. */
import { Table } from "@mantine/core";

import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import type { Point } from "./metrics";

// More are seen better in the chart.
const MOST = 500;

export function PointsTable({ curve }: { curve: readonly Point[] }) {
  const text = useText();
  return (
    <details className={styles.scroll}>
      <summary>{text("points")}</summary>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{text("threshold")}</Table.Th>
            <Table.Th>{text("falsePositiveRate")}</Table.Th>
            <Table.Th>{text("truePositiveRate")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {curve.slice(0, MOST).map(({ threshold, falsePositives, truePositives }, index) => (
            <Table.Tr key={index}>
              <Table.Td>{threshold}</Table.Td>
              <Table.Td>{falsePositives}</Table.Td>
              <Table.Td>{truePositives}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </details>
  );
}
