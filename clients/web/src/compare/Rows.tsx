/** Rows of one kind under their common head. More than a reader could look at are counted. */
import { Table, Text, VisuallyHidden } from "@mantine/core";

import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Compare.module.css";
import { difference, shown, shownDifference, type Cell, type Row } from "./rows";

const MOST_ROWS = 500;

interface Props {
  readonly title: string;
  readonly rows: readonly Row[];
  readonly columns: number;
  /** The column that the others' numbers are held against; none for -1. */
  readonly baseline: number;
}

export function Rows({ title, rows, columns, baseline }: Props) {
  const text = useText();
  if (rows.length === 0) return null;
  return (
    <Table.Tbody>
      <Table.Tr className={styles.group}>
        <Table.Th scope="rowgroup" colSpan={columns + 1}>
          <span>{title}</span>
        </Table.Th>
      </Table.Tr>
      {rows.slice(0, MOST_ROWS).map(({ name, cells, differs }) => (
        <Table.Tr key={name} data-differs={differs || undefined}>
          <Table.Th scope="row">
            <span className={styles.cut} title={name}>
              <span className={styles.mark} aria-hidden>
                {differs ? "≠" : ""}
              </span>
              <bdi className={styles.name}>{name}</bdi>
              {differs ? <VisuallyHidden> ({text("differs")})</VisuallyHidden> : null}
            </span>
          </Table.Th>
          {cells.map((cell, column) => (
            <One key={column} cell={cell} {...(column !== baseline && { baseline: cells[baseline] })} />
          ))}
        </Table.Tr>
      ))}
      {rows.length > MOST_ROWS ? (
        <Table.Tr>
          <Table.Td colSpan={columns + 1}>
            {fill(text("furtherArtifacts"), { count: rows.length - MOST_ROWS })}
          </Table.Td>
        </Table.Tr>
      ) : null}
    </Table.Tbody>
  );
}

function One({ cell, baseline }: { cell: Cell; baseline?: Cell }) {
  const text = useText();
  const more = difference(cell, baseline);
  return (
    <Table.Td className={styles.cell} data-number={typeof cell === "number" || undefined}>
      <span className={styles.cut} title={shown(cell)}>
        {shown(cell)}
      </span>
      {more === undefined ? null : (
        <Text span size="xs" className={styles.cut} title={`${text("differenceTo")}: ${more}`}>
          <VisuallyHidden>{text("differenceTo")}: </VisuallyHidden>
          {shownDifference(more)}
        </Text>
      )}
    </Table.Td>
  );
}
