/** The field of one input: a text, a choice, or JSON, with what is wrong with it below. */
import { Checkbox, NativeSelect, Stack, Text, Textarea, TextInput } from "@mantine/core";

import type { Key } from "../text/en";
import { useText } from "../text/language";
import { isRequired, isRounded, textOf, type Input } from "./inputs";
import styles from "./Start.module.css";

interface Props {
  readonly input: Input;
  readonly text: string | undefined;
  readonly wrong: string | undefined;
  readonly change: (text: string | undefined) => void;
}

export function InputField({ input, text, wrong, change }: Props) {
  const say = useText();
  const { kind } = input;
  const common = {
    label: <Label input={input} />,
    required: isRequired(input),
    description: <Hint input={input} />,
    error: wrong && <span className={styles.text}>{wrong}</span>,
    "data-input": input.name,
  };
  if (kind === undefined) return <TextInput {...common} description={say("cannotBeGiven")} disabled />;
  const choices = choicesOf(input);
  if (choices.length > 0) {
    const none = { value: "", label: say(isRequired(input) ? "choose" : "noValue") };
    const chosen = choices.findIndex((choice) => choice === text);
    return (
      <NativeSelect
        {...common}
        value={chosen < 0 ? "" : String(chosen)}
        onChange={({ currentTarget: { value } }) => change(value === "" ? undefined : choices[Number(value)])}
        data={[
          ...(input.optional || isRequired(input) ? [none] : []),
          ...choices.map((label, index) => ({ value: String(index), label })),
        ]}
      />
    );
  }
  const typed = {
    ...common,
    value: text ?? "",
    placeholder: text === undefined && input.optional ? say("noValue") : "",
    onChange: (event: { currentTarget: { value: string } }) => change(event.currentTarget.value),
  };
  const json = kind === "LIST" || kind === "STRUCT";
  return (
    <Stack gap={6}>
      {kind === "STRING" || json ? (
        <Textarea {...typed} autosize minRows={json ? 2 : 1} maxRows={12} spellCheck={false} />
      ) : (
        <TextInput {...typed} inputMode={kind === "NUMBER_INTEGER" ? "numeric" : "decimal"} />
      )}
      {input.optional && (kind === "STRING" || input.byDefault !== undefined) ? (
        <Checkbox
          size="xs"
          label={say("noValue")}
          aria-label={`${input.name}: ${say("noValue")}`}
          checked={text === undefined}
          onChange={(event) => change(event.currentTarget.checked ? undefined : (textOf(input) ?? ""))}
        />
      ) : null}
    </Stack>
  );
}

function Label({ input }: { input: Input }) {
  return (
    <>
      <span className={styles.text}>{input.name}</span>{" "}
      <Text span size="xs" c="dimmed">
        {input.declared}
      </Text>
    </>
  );
}

function Hint({ input }: { input: Input }) {
  const say = useText();
  const byDefault = textOf(input);
  const empty: Key | undefined =
    input.kind === "STRING" || choicesOf(input).length > 0 || isRequired(input)
      ? undefined
      : input.byDefault === undefined
        ? "emptyIsNull"
        : "emptyIsDefault";
  const hints = [
    ...(input.optional ? [say("isOptional")] : []),
    ...(byDefault === undefined ? [] : [`${say("byDefault")}: ${shown(input, byDefault)}`]),
    ...(empty ? [say(empty)] : []),
    ...(isRounded(input.byDefault) ? [say("rounded")] : []),
  ];
  return (
    <span className={styles.text}>
      {input.description ? `${input.description}\n` : ""}
      {hints.map((hint) => cut(hint)).join(" · ")}
    </span>
  );
}

function choicesOf(input: Input): string[] {
  if (input.literals.length > 0) return input.literals.map((literal) => textOf(input, literal) ?? "null");
  return input.kind === "BOOLEAN" ? ["true", "false"] : [];
}

const shown = (input: Input, text: string): string =>
  input.kind === "STRING" ? JSON.stringify(text) : text.replace(/\s+/g, " ");
const cut = (text: string): string => (text.length > 160 ? `${text.slice(0, 160)}…` : text);
