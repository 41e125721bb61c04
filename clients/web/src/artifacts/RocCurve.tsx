/** ROC curves in one chart, which is drawn anew when its width or the colours change. */
import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";

import { useText } from "../text/language";
import { aligned } from "./aligned";
import styles from "./Artifacts.module.css";
import { look } from "./lines";
import type { Point } from "./metrics";

const HEIGHT = 320;
// Of a square: rates are read off both axes alike.
const WIDEST = 480;
const RANGE: [number, number] = [0, 1];

export function RocCurve({ curve }: { curve: readonly Point[] }) {
  const curves = useMemo(() => [curve], [curve]);
  return <RocCurves curves={curves} legend />;
}

interface Props {
  readonly curves: readonly (readonly Point[])[];
  /** The chart's own, which does not say whose curve is which. */
  readonly legend?: boolean;
}

export function RocCurves({ curves, legend = false }: Props) {
  const text = useText();
  const scheme = useComputedColorScheme("light");
  const { ref, width } = useElementSize<HTMLDivElement>();
  const place = useRef<HTMLDivElement>(null);
  const [falseRate, trueRate] = [text("falsePositiveRate"), text("truePositiveRate")];
  useEffect(() => {
    if (!place.current || width === 0) return;
    const colours = getComputedStyle(place.current);
    const ink = colours.color;
    const grid = { stroke: colours.getPropertyValue("--mantine-color-default-border"), width: 1 };
    const lines = curves.map((_, line) => {
      const { colour, dash } = look(line, scheme);
      const stroke = colours.getPropertyValue(colour);
      return { label: trueRate, width: 2, stroke, dash: [...dash], spanGaps: true, points: { show: false } };
    });
    const chart = new uPlot(
      {
        width: Math.min(width, WIDEST),
        height: HEIGHT,
        legend: { show: legend },
        scales: { x: { time: false, range: RANGE }, y: { range: RANGE } },
        axes: [
          { label: falseRate, stroke: ink, grid, ticks: grid },
          { label: trueRate, stroke: ink, grid, ticks: grid },
        ],
        series: [{ label: falseRate }, ...lines],
      },
      aligned(curves),
      place.current,
    );
    return () => chart.destroy();
  }, [curves, legend, width, scheme, falseRate, trueRate]);
  return (
    <div ref={ref} className={styles.chart}>
      <div ref={place} role="img" aria-label={text(curves.length > 1 ? "rocCurves" : "rocCurve")} />
    </div>
  );
}
