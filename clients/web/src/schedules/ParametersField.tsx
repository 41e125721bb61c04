/** Parameters as JSON, and what the pipeline declares beside them. */
import { Code, List, Stack, Textarea } from "@mantine/core";

import { useText } from "../text/language";
import type { Definitions } from "./parameters";
import styles from "./Schedules.module.css";

interface Props {
  readonly value: string;
  readonly change: (typed: string) => void;
  readonly definitions: Definitions;
  readonly problem: string | undefined;
}

export function ParametersField({ value, change, definitions, problem }: Props) {
  const text = useText();
  return (
    <Stack gap="xs">
      <Textarea
        label={text("parameters")}
        description={text("parametersHint")}
        classNames={{ input: styles.code ?? "" }}
        rows={6}
        spellCheck={false}
        value={value}
        onChange={(event) => change(event.currentTarget.value)}
        error={problem}
      />
      {definitions && definitions.size > 0 ? (
        <List size="sm" className={styles.declared}>
          {[...definitions].map(([name, { type, needed, fallback }]) => (
            <List.Item key={name} className={styles.long}>
              <Code>{name}</Code> {type}{" "}
              {fallback === undefined ? (
                text(needed ? "isNeeded" : "optional")
              ) : (
                <Code>{JSON.stringify(fallback)}</Code>
              )}
            </List.Item>
          ))}
        </List>
      ) : null}
    </Stack>
  );
}
