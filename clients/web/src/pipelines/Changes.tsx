/** What a version changed against another one: its tasks in words, then the lines of the document. */
import { Badge, Code, Group, NativeSelect, Stack, Text } from "@mantine/core";
import type { JsonObject } from "@bufbuild/protobuf";
import type { PipelineVersion } from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";
import { useMemo } from "react";

import { Failure, Loading } from "../components/facts";
import { useText } from "../text/language";
import { lineChanges, MOST_LINES, taskChanges } from "./changes";
import styles from "./Pipelines.module.css";
import { useVersion } from "./queries";

interface Props {
  readonly pipelineId: string;
  readonly versionId: string;
  readonly document: JsonObject;
  /** Those to choose from, the newest first. */
  readonly versions: readonly PipelineVersion[];
  /** Id of the version it is compared with. */
  readonly against: string | undefined;
  readonly compare: (versionId: string) => void;
}

export function Changes({ pipelineId, versionId, document, versions, against, compare }: Props) {
  const text = useText();
  const others = versions.filter((version) => version.pipelineVersionId !== versionId);
  const before = others[versions.findIndex((version) => version.pipelineVersionId === versionId)] ?? others[0];
  const chosen = against ?? before?.pipelineVersionId ?? "";
  const other = useVersion(pipelineId, chosen);
  if (others.length === 0 && !against) return <Text c="dimmed">{text("onlyVersion")}</Text>;
  return (
    <Stack gap="xs">
      <NativeSelect
        label={text("comparedWith")}
        value={chosen}
        onChange={(event) => compare(event.currentTarget.value)}
        data={others.map(({ pipelineVersionId: value, displayName: label }) => ({ value, label }))}
      />
      {other.error ? <Failure error={other.error} /> : null}
      {other.isPending ? <Loading /> : null}
      {other.data ? <Differences before={other.data.pipelineSpec ?? {}} after={document} /> : null}
    </Stack>
  );
}

function Differences({ before, after }: { before: JsonObject; after: JsonObject }) {
  const text = useText();
  const tasks = useMemo(() => taskChanges(before, after), [before, after]);
  const hunks = useMemo(() => lineChanges(before, after), [before, after]);
  const lines = hunks?.flatMap((hunk, number) => [...(number > 0 ? ["…"] : []), ...hunk.lines]) ?? [];
  if (hunks?.length === 0) return <Text>{text("noDifference")}</Text>;
  return (
    <>
      <Tasks label={text("tasksAdded")} colour="green" paths={tasks.added} />
      <Tasks label={text("tasksRemoved")} colour="red" paths={tasks.removed} />
      <Tasks label={text("tasksChanged")} colour="blue" paths={tasks.changed} />
      {hunks === undefined ? <Text c="dimmed">{text("tooDifferent")}</Text> : null}
      {lines.length > MOST_LINES ? <Text c="dimmed">{text("documentIsCut")}</Text> : null}
      {lines.length > 0 ? (
        <Code block tabIndex={0} aria-label={text("changes")} className={styles.document}>
          {lines.slice(0, MOST_LINES).map((line, number) => (
            <span key={number} className={styles.line} data-change={line[0]}>
              {line}
              {"\n"}
            </span>
          ))}
        </Code>
      ) : null}
    </>
  );
}

function Tasks({ label, colour, paths }: { label: string; colour: string; paths: readonly string[] }) {
  if (paths.length === 0) return null;
  return (
    <Group gap="xs">
      <Text size="sm">{label}:</Text>
      {paths.slice(0, 50).map((path) => (
        <Badge key={path} variant="light" color={colour} tt="none">
          {path}
        </Badge>
      ))}
      {paths.length > 50 ? <Text size="sm">… {paths.length}</Text> : null}
    </Group>
  );
}
