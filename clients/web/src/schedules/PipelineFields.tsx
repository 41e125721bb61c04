/** Which pipeline, in which version, and in which experiment: choices that the server gives. */
import { Code, Select, Stack, Text } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";

import { Failure } from "../components/facts";
import { useText } from "../text/language";
import type { Chosen, Draft } from "./draft";
import { useExperiments, usePipelines, useVersions } from "./formQueries";
import type { Problems } from "./problems";

const LATEST = "latest";
// Of those that match what is typed.
const MOST_AT_ONCE = 200;

interface Props {
  readonly chosen: Chosen;
  readonly namespace: string;
  readonly draft: Draft;
  readonly change: (changed: Partial<Draft>) => void;
  readonly problems: Problems;
}

export function PipelineFields({ chosen, namespace, draft, change, problems }: Props) {
  const { pipelineId, pipelineVersionId } = chosen;
  const text = useText();
  const navigate = useNavigate({ from: "/recurring-runs/new" });
  const pipelines = usePipelines(namespace);
  const versions = useVersions(pipelineId);
  const experiments = useExperiments(namespace);
  const kept = namespace === "" ? {} : { namespace };
  const error = pipelines.error ?? versions.error ?? experiments.error;
  return (
    <Stack>
      <Select
        label={text("pipeline")}
        required
        searchable
        limit={MOST_AT_ONCE}
        value={pipelineId || null}
        onChange={(pipeline) =>
          void navigate({ search: { ...kept, ...(pipeline !== null && { pipeline }) }, replace: true })
        }
        data={choices(pipelines.data ?? [], ({ pipelineId }) => pipelineId, pipelineId)}
        error={problems.pipeline}
      />
      {pipelines.data?.length === 0 ? (
        <div>
          <Text c="dimmed">{text("uploadAPipeline")}</Text>
          <Code block>penstock pipelines upload pipeline.yaml --name NAME</Code>
        </div>
      ) : null}
      <Select
        label={text("version")}
        searchable
        allowDeselect={false}
        disabled={pipelineId === ""}
        value={pipelineVersionId || LATEST}
        onChange={(version) =>
          void navigate({
            search: { ...kept, pipeline: pipelineId, ...(version !== null && version !== LATEST && { version }) },
            replace: true,
          })
        }
        data={[
          { value: LATEST, label: text("latestVersion") },
          ...choices(
            versions.data?.pipelineVersions ?? [],
            (version) => version.pipelineVersionId,
            pipelineVersionId,
          ),
        ]}
      />
      <Select
        label={text("experiment")}
        searchable
        clearable
        placeholder={text("defaultExperiment")}
        value={draft.experiment || null}
        onChange={(experiment) => change({ experiment: experiment ?? "" })}
        data={choices(experiments.data ?? [], ({ experimentId }) => experimentId, draft.experiment)}
        error={problems.experiment}
      />
      {error ? <Failure error={error} /> : null}
    </Stack>
  );
}

/** With what is chosen among them, also when an address has chosen what is not known. */
function choices<T extends { displayName: string }>(items: readonly T[], id: (item: T) => string, chosen: string) {
  const found = items.map((item) => ({ value: id(item), label: item.displayName || id(item) }));
  return chosen === "" || found.some(({ value }) => value === chosen)
    ? found
    : [...found, { value: chosen, label: chosen }];
}
