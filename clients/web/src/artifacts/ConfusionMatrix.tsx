/** How often each class was taken for which: rows are what it is, columns what was predicted. */
import { Table } from "@mantine/core";

import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import type { Matrix } from "./metrics";

const COLOUR = "var(--mantine-color-blue-5)";
// Of the colour, so that text on it stays readable in light and dark.
const STRONGEST_PERCENT = 45;

interface Props {
  readonly of: Matrix;
  /** Where there are several. */
  readonly whose?: string;
}

export function ConfusionMatrix({ of: { labels, rows }, whose }: Props) {
  const text = useText();
  const most = rows.flat().reduce((most, count) => Math.max(most, count), 1);
  const shade = (count: number) => `color-mix(in srgb, ${COLOUR} ${share(count, most)}%, transparent)`;
  const name = whose ? `${text("confusionMatrix")}: ${whose}` : text("confusionMatrix");
  return (
    <div className={styles.scroll} tabIndex={0} role="region" aria-label={name}>
      <Table withTableBorder withColumnBorders>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>
              {text("trueLabel")} \ {text("predictedLabel")}
            </Table.Th>
            {labels.map((label, column) => (
              <Table.Th key={column} scope="col" className={styles.label} title={label}>
                {label}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {labels.map((label, row) => (
            <Table.Tr key={row}>
              <Table.Th scope="row" className={styles.label} title={label}>
                {label}
              </Table.Th>
              {labels.map((_, column) => {
                const count = rows[row]?.[column] ?? 0;
                return (
                  <Table.Td key={column} style={{ backgroundColor: shade(count) }}>
                    {count}
                  </Table.Td>
                );
              })}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function share(count: number, most: number): number {
  return Number.isFinite(count) ? Math.round((Math.max(0, count) / most) * STRONGEST_PERCENT) : 0;
}
