/** An ROC curve as a chart, which is drawn anew when its width or the colours change. */
import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import type { Point } from "./metrics";

const HEIGHT = 320;
// Of a square: rates are read off both axes alike.
const WIDEST = 480;
const RANGE: [number, number] = [0, 1];

export function RocCurve({ curve }: { curve: readonly Point[] }) {
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
    const chart = new uPlot(
      {
        width: Math.min(width, WIDEST),
        height: HEIGHT,
        scales: { x: { time: false, range: RANGE }, y: { range: RANGE } },
        axes: [
          { label: falseRate, stroke: ink, grid, ticks: grid },
          { label: trueRate, stroke: ink, grid, ticks: grid },
        ],
        series: [
          { label: falseRate },
          { label: trueRate, width: 2, stroke: colours.getPropertyValue("--mantine-color-blue-5") },
        ],
      },
      [curve.map(({ falsePositives }) => falsePositives), curve.map(({ truePositives }) => truePositives)],
      place.current,
    );
    return () => chart.destroy();
  }, [curve, width, scheme, falseRate, trueRate]);
  return (
    <div ref={ref} className={styles.chart}>
      <div ref={place} role="img" aria-label={text("rocCurve")} />
    </div>
  );
}
