/** What all attempts of a run did over its time, in the columns of the timeline below: dragging over it zooms that. */
import { Text } from "@mantine/core";
import { lazy, Suspense, useMemo } from "react";

import { Failure } from "../components/facts";
import type { Range } from "../run/spans";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import styles from "./Attempts.module.css";
import { stacked, sumsOfBins } from "./bins";
import { PhaseLegend } from "./PhaseLegend";
import { useTimeline } from "./queries";

// With it comes a library that no other part of the page needs.
const PhaseChart = lazy(() => import("./PhaseChart").then(({ PhaseChart }) => ({ default: PhaseChart })));

interface Props {
  readonly runId: string;
  readonly goesOn: boolean;
  readonly range: Range;
  readonly whole: Range;
  readonly change: (range: Range | undefined) => void;
}

export function Overview({ runId, goesOn, ...ranges }: Props) {
  const text = useText();
  const { language } = useLanguage();
  const { data, error } = useTimeline(runId, goesOn, true);
  const bins = data?.bins;
  const most = useMemo(() => Math.max(0, ...(bins ? (stacked(bins).at(-1) ?? []) : [])), [bins]);
  const sums = useMemo(() => (bins ? sumsOfBins(bins) : new Map()), [bins]);
  if (error) return <Failure error={error} />;
  if (!bins || most === 0) return null;
  const count = new Intl.NumberFormat(language).format(Math.ceil(most));
  return (
    <section aria-label={text("allAttempts")} className={styles.overview}>
      <div className={styles.strip}>
        <div>
          <Text size="sm" fw={700}>
            {text("allAttempts")}
          </Text>
          <Text size="sm" c="dimmed">
            {fill(text("atOnce"), { count })}
          </Text>
        </div>
        <Suspense fallback={<div className={styles.chart} />}>
          <PhaseChart bins={bins} {...ranges} />
        </Suspense>
      </div>
      <PhaseLegend sums={sums} />
    </section>
  );
}
