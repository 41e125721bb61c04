/** What a version takes: names, types, defaults. */
import { Code, Table, Text } from "@mantine/core";
import type { JsonObject } from "@bufbuild/protobuf";

import { inputsOf, isRequired, isRounded, textOf, type Input } from "../start/inputs";
import { useText } from "../text/language";
import styles from "./Pipelines.module.css";

export function InputTable({ document }: { document: JsonObject }) {
  const text = useText();
  const inputs = inputsOf(document);
  if (inputs.length === 0) return <Text c="dimmed">{text("noInputs")}</Text>;
  return (
    <Table.ScrollContainer minWidth={560} type="native">
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{text("name")}</Table.Th>
            <Table.Th>{text("kindOfInput")}</Table.Th>
            <Table.Th>{text("defaultValue")}</Table.Th>
            <Table.Th>{text("description")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {inputs.map((input) => (
            <Table.Tr key={input.name}>
              <Table.Td className={`${styles.text} ${styles.input}`}>{input.name}</Table.Td>
              <Table.Td>{input.declared}</Table.Td>
              <Table.Td>
                <Default input={input} />
              </Table.Td>
              <Table.Td className={styles.text}>{input.description}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Default({ input }: { input: Input }) {
  const text = useText();
  const shown = textOf(input);
  if (shown === undefined) return <>{text(isRequired(input) ? "isRequired" : "noValue")}</>;
  return (
    <div className={`${styles.text} ${styles.bounded}`}>
      {isRounded(input.byDefault) ? "≈ " : ""}
      <Code>{input.kind === "STRING" ? JSON.stringify(shown) : shown}</Code>
    </div>
  );
}
