/** What a run was given, in short: long values are cut, and whole under the pointer. */
import type { Value } from "@bufbuild/protobuf/wkt";
import { Group, Text } from "@mantine/core";

import { valueOf, written } from "../start/exact";
import { useText } from "../text/language";
import styles from "./runs.module.css";

export function Parameters({ values }: { values: Readonly<Record<string, Value>> }) {
  const text = useText();
  const shown = Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1));
  if (shown.length === 0) return null;
  return (
    <Group gap="xs" fz="sm" className={styles.parameters} role="group" aria-label={text("parameters")}>
      <span>{text("parameters")}:</span>
      {shown.map(([name, value]) => {
        const exact = valueOf(value);
        const word = typeof exact === "string" ? exact : written(exact);
        return (
          <Text key={name} span inherit className={styles.parameter} title={`${name} = ${word}`}>
            <Text span inherit c="dimmed">
              <bdi>{name}</bdi> ={" "}
            </Text>
            <bdi>{word}</bdi>
          </Text>
        );
      })}
    </Group>
  );
}
