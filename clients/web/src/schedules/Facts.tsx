/** What a recurring run was made with. */
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, Stack, Title } from "@mantine/core";
import type { RecurringRun } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { Time } from "../components/facts";
import { PipelineName } from "../runs/PipelineName";
import { penstock } from "../server";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Schedules.module.css";

export function Facts({ of }: { of: RecurringRun }) {
  const text = useText();
  const trigger = of.trigger?.trigger;
  const times = trigger?.case === undefined ? undefined : trigger.value;
  const parameters = Object.entries(of.runtimeConfig?.parameters ?? {}).map(
    ([name, value]) => [name, toJson(ValueSchema, value)] as const,
  );
  return (
    <Stack component="section" aria-label={text("facts")} gap="xs">
      <Title order={3} size="h4">
        {text("facts")}
      </Title>
      <dl className={styles.facts}>
        <Fact name="pipeline">
          <PipelineName run={of} />
        </Fact>
        <Version of={of} />
        {trigger?.case === "cronSchedule" ? (
          <Fact name="byCron">
            <Code>{trigger.value.cron}</Code>
          </Fact>
        ) : null}
        <Fact name="startTime">
          <Time at={millis(times?.startTime)} />
        </Fact>
        <Fact name="endTime">
          <Time at={millis(times?.endTime)} />
        </Fact>
        <Fact name="catchUp">{text(of.noCatchup ? "catchUpOff" : "catchUpOn")}</Fact>
        <Fact name="maxConcurrency">{String(of.maxConcurrency)}</Fact>
        <Fact name="created">
          <Time at={millis(of.createdAt)} />
        </Fact>
        {of.description ? <Fact name="description">{of.description}</Fact> : null}
        {parameters.length > 0 ? (
          <Fact name="parameters">
            <Code block className={styles.values} tabIndex={0}>
              {JSON.stringify(Object.fromEntries(parameters), null, 1)}
            </Code>
          </Fact>
        ) : null}
      </dl>
    </Stack>
  );
}

function Fact({ name, children }: { name: Key; children: ReactNode }) {
  const text = useText();
  return (
    <>
      <dt>{text(name)}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** A recurring run with a document of its own has none. */
function Version({ of }: { of: RecurringRun }) {
  const text = useText();
  const source = of.pipelineSource;
  const reference = source.case === "pipelineVersionReference" ? source.value : undefined;
  const { pipelineId = "", pipelineVersionId = "" } = reference ?? {};
  const version = useQuery({
    queryKey: ["version", pipelineId, pipelineVersionId],
    queryFn: ({ signal }) => penstock.pipelines.getPipelineVersion({ pipelineId, pipelineVersionId }, { signal }),
    enabled: pipelineVersionId !== "",
    staleTime: Infinity,
  });
  if (reference === undefined) return null;
  const shown = version.data?.displayName || pipelineVersionId;
  return <Fact name="version">{pipelineVersionId === "" ? text("latestVersion") : shown}</Fact>;
}
