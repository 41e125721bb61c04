/** The form that starts a run, and beside it the plan of what is typed. */
import { Button, Fieldset, Group, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState, type FormEvent } from "react";

import { useMay } from "../components/may";
import { useOnce } from "../components/useOnce";
import { Refused } from "../pipelines/Refused";
import { penstock } from "../server";
import { useText } from "../text/language";
import { ExperimentField, firstOf } from "./ExperimentField";
import { InputField } from "./InputField";
import { inputsOf, isRounded } from "./inputs";
import { Options } from "./Options";
import { Plan } from "./Plan";
import { problemsOf } from "./plan";
import { useExperiments, usePlan } from "./queries";
import { argumentsOf, firstGeneral, firstTexts, runOf, type General } from "./request";
import type { Origin } from "./source";
import styles from "./Start.module.css";

const PAUSE_MS = 300;

export function StartForm({ origin, name }: { origin: Origin; name: string }) {
  const text = useText();
  const may = useMay();
  const navigate = useNavigate();
  const { source, document, again, namespace } = origin;
  const inputs = useMemo(() => inputsOf(document), [document]);
  const first = useMemo(() => firstTexts(inputs, again), [inputs, again]);
  const [texts, setTexts] = useState(first);
  const [general, setGeneral] = useState(() => firstGeneral(name, again));
  // How many times it was asked for: what is wrong by then is shown, and the first of it gets the focus.
  const [asked, setAsked] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (asked > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [asked]);
  const [planned] = useDebouncedValue(texts, PAUSE_MS);
  const typed = useMemo(() => argumentsOf(inputs, texts), [inputs, texts]);
  const toPlan = useMemo(() => argumentsOf(inputs, planned), [inputs, planned]);
  const id = source.kind === "version" ? source.pipelineVersionId : (again?.runId ?? "");
  const plan = usePlan(id, source, planned, toPlan, namespace);
  const { atInputs, others } = problemsOf(plan.data?.problems ?? [], new Set(inputs.map((input) => input.name)));
  const experiments = useExperiments(namespace);
  const experimentId = general.experimentId || firstOf(experiments.data ?? []);
  const copied = source.kind === "document" && isRounded(source.document);
  const starting = useOnce({
    mutationFn: async () => {
      const run = runOf(source, { ...general, experimentId }, typed, again);
      return run && penstock.runs.createRun({ run });
    },
    onSuccess: (run) =>
      run && navigate({ to: "/runs/$runId", params: { runId: run.runId }, search: namespace ? { namespace } : {} }),
  });
  const change = (changed: Partial<General>) => setGeneral((old) => ({ ...old, ...changed }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsked(asked + 1);
    starting.once();
  };
  const wrongAt = (input: string): string | undefined => {
    const wrong = typed.wrong.get(input);
    if (wrong) return asked > 0 || texts[input] !== first[input] ? text(wrong) : undefined;
    return atInputs.get(input);
  };
  return (
    <div className={styles.page}>
      <form ref={form} onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label={text("runName")}
            value={general.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
            error={general.name.trim() ? null : text("required")}
            withAsterisk
          />
          <ExperimentField
            experiments={experiments.data ?? []}
            error={experiments.error}
            chosen={experimentId}
            change={(to) => change({ experimentId: to })}
          />
          <Fieldset legend={text("inputs")}>
            <Stack>
              {inputs.length === 0 ? <Text c="dimmed">{text("noInputs")}</Text> : null}
              {inputs.map((input) => (
                <InputField
                  key={input.name}
                  input={input}
                  text={texts[input.name]}
                  wrong={wrongAt(input.name)}
                  change={(to) => setTexts((old) => ({ ...old, [input.name]: to }))}
                />
              ))}
            </Stack>
          </Fieldset>
          <Options general={general} change={change} />
          <Textarea
            label={text("description")}
            rows={2}
            value={general.description}
            onChange={(event) => change({ description: event.currentTarget.value })}
          />
          <Refused error={copied ? new Error(text("roundedDocument")) : starting.error} />
          <Group>
            {may("runs create") ? (
              <Button type="submit" loading={starting.isPending} disabled={copied}>
                {text("start")}
              </Button>
            ) : null}
          </Group>
        </Stack>
      </form>
      <Plan
        plan={typed.wrong.size === 0 ? plan.data : undefined}
        error={typed.wrong.size === 0 ? plan.error : undefined}
        wrong={[...typed.wrong.keys()]}
        problems={typed.wrong.size === 0 ? others : []}
        old={texts !== planned || plan.isPlaceholderData}
        cachingIsOff={general.caching === "off"}
      />
    </div>
  );
}
