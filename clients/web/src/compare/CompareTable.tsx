/** A column for each run, a row for each parameter and metric. The names of the rows stay in sight. */
import { Table, Text, VisuallyHidden } from "@mantine/core";
import type { ComparedRun } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { useMemo, useRef } from "react";

import { useText } from "../text/language";
import styles from "./Compare.module.css";
import { RunHead } from "./RunHead";
import { metricRows, parameterRows } from "./rows";
import { Rows } from "./Rows";

interface Props {
  readonly runs: readonly ComparedRun[];
  readonly now: number;
  /** Id of a run, which may be none of these. */
  readonly baseline: string | undefined;
  readonly onlyDiffering: boolean;
  readonly choose: (baseline: string | undefined) => void;
  readonly takeOut: (runId: string) => void;
}

export function CompareTable({ runs, now, baseline, onlyDiffering, choose, takeOut }: Props) {
  const text = useText();
  const region = useRef<HTMLDivElement>(null);
  const parameters = useMemo(() => parameterRows(runs), [runs]);
  const metrics = useMemo(() => metricRows(runs), [runs]);
  const none = parameters.length + metrics.length === 0;
  const [given, measured] = onlyDiffering
    ? [parameters.filter(({ differs }) => differs), metrics.filter(({ differs }) => differs)]
    : [parameters, metrics];
  return (
    <>
      <div ref={region} className={styles.scroll} tabIndex={0} role="region" aria-label={text("compareRuns")}>
        <Table className={styles.table} withColumnBorders>
          <Table.Thead>
            <Table.Tr>
              <Table.Td className={styles.corner}>
                <VisuallyHidden>{text("name")}</VisuallyHidden>
              </Table.Td>
              {runs.flatMap(({ run }) =>
                run === undefined ? [] : [
                  <RunHead
                    key={run.runId}
                    run={run}
                    now={now}
                    isBaseline={run.runId === baseline}
                    toggleBaseline={() => choose(run.runId === baseline ? undefined : run.runId)}
                    takeOut={() => {
                      // The button goes with its column.
                      region.current?.focus();
                      takeOut(run.runId);
                    }}
                  />,
                ],
              )}
            </Table.Tr>
          </Table.Thead>
          <Rows title={text("parameters")} rows={given} columns={runs.length} baseline={-1} />
          <Rows
            title={text("metrics")}
            rows={measured}
            columns={runs.length}
            baseline={runs.findIndex(({ run }) => run?.runId === baseline)}
          />
        </Table>
      </div>
      {given.length + measured.length === 0 ? (
        <Text c="dimmed">{text(none ? "nothingToCompare" : "nothingDiffers")}</Text>
      ) : null}
    </>
  );
}
