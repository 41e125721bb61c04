/** Makes a recurring run. Its pipeline is in the address; when it would fire is shown as the rest is typed. */
import { Button, Checkbox, Group, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { getRouteApi } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";

import { Failure } from "../components/facts";
import { useMay } from "../components/may";
import { PageTitle } from "../components/PageTitle";
import { serverNow } from "../live/clock";
import { reason } from "../server";
import { useText } from "../text/language";
import { MOST_AT_A_TIME, newDraft, previewOf, type Draft } from "./draft";
import { FiresPreview } from "./FiresPreview";
import { useCreation, useDefinitions, usePreview, useVersions } from "./formQueries";
import { parametersOf, templateOf } from "./parameters";
import { ParametersField } from "./ParametersField";
import { PipelineFields } from "./PipelineFields";
import { problemIn, problemsOf, type Problems } from "./problems";
import styles from "./Schedules.module.css";
import { TriggerFields } from "./TriggerFields";

const route = getRouteApi("/recurring-runs/new");
const TYPING_MS = 250;
const NONE: Problems = {};

export function NewRecurringRunPage() {
  const text = useText();
  const may = useMay();
  const { pipeline: pipelineId = "", version: pipelineVersionId = "", namespace = "" } = route.useSearch();
  const navigate = route.useNavigate();
  const [draft, setDraft] = useState(() => newDraft(Intl.DateTimeFormat().resolvedOptions().timeZone));
  const [opened] = useState(serverNow);
  // A form that nobody has filled in yet has no errors.
  const [submitted, setSubmitted] = useState(false);
  const change = (changed: Partial<Draft>) => setDraft((old) => ({ ...old, ...changed }));

  const chosen = { pipelineId, pipelineVersionId };
  const latest = useVersions(pipelineId).data?.pipelineVersions[0]?.pipelineVersionId ?? "";
  const definitions = useDefinitions({ pipelineId, pipelineVersionId: pipelineVersionId || latest }).data;
  const parameters = draft.parameters ?? templateOf(definitions);

  const [typed] = useDebouncedValue(draft, TYPING_MS);
  const { trigger, cut } = previewOf(typed, opened);
  const preview = usePreview(trigger);
  const creation = useCreation((recurringRunId) =>
    navigate({ to: "/recurring-runs/$recurringRunId", params: { recurringRunId } }),
  );

  const own = problemsOf(draft, parameters, chosen, definitions, text);
  const refused = creation.error ? problemIn(reason(creation.error)) : NONE;
  const early = preview.error ? problemIn(reason(preview.error)) : NONE;
  const problems: Problems = { ...refused, ...early, ...(submitted ? own : NONE) };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setSubmitted(true);
    if (Object.keys(own).length > 0) {
      const form = event.currentTarget;
      // Once the fields know that they are wrong.
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return;
    }
    creation.once({ draft, chosen, found: parametersOf(parameters, definitions, text) });
  };
  return (
    <form noValidate onSubmit={submit} onChange={() => creation.error && creation.reset()}>
      <Stack>
        <PageTitle name={text("newRecurringRun")} />
        <div className={styles.columns}>
          <Stack>
            <TextInput
              label={text("name")}
              required
              value={draft.name}
              onChange={(event) => change({ name: event.currentTarget.value })}
              error={problems.name}
            />
            <PipelineFields chosen={chosen} namespace={namespace} draft={draft} change={change} problems={problems} />
            <ParametersField
              value={parameters}
              change={(typed) => change({ parameters: typed })}
              definitions={definitions}
              problem={problems.parameters}
            />
          </Stack>
          <Stack>
            <TriggerFields
              draft={draft}
              change={change}
              problems={problems}
              serverZone={preview.data?.timeZone ?? ""}
            />
            <TextInput
              label={text("maxConcurrency")}
              type="number"
              min={1}
              max={MOST_AT_A_TIME}
              required
              value={draft.concurrency}
              onChange={(event) => change({ concurrency: event.currentTarget.value })}
              error={problems.concurrency}
            />
            <Checkbox
              label={text("enabledAtOnce")}
              checked={draft.enabled}
              onChange={(event) => change({ enabled: event.currentTarget.checked })}
            />
            <FiresPreview
              preview={preview}
              asked={trigger !== undefined}
              cut={cut}
              stale={typed !== draft}
              told={Object.keys(early).length > 0}
            />
          </Stack>
        </div>
        {creation.error && Object.keys(refused).length === 0 ? <Failure error={creation.error} /> : null}
        <Group>
          {may("jobs create") ? (
            <Button type="submit" loading={creation.isPending}>
              {text("create")}
            </Button>
          ) : null}
        </Group>
      </Stack>
    </form>
  );
}
