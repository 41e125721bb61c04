/**
 * Attempts by phase over the time of a run, one phase above the other. The part that the timeline shows is marked;
 * dragging chooses another. Who does not see it has the sums below, and who has no pointer the buttons that zoom.
 */
import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useEffectEvent, useRef } from "react";
import uPlot from "uplot";

import type { Range } from "../run/spans";
import { within } from "../run/zoom";
import { useText } from "../text/language";
import styles from "./Attempts.module.css";
import { stacked, type Bins } from "./bins";
import { fillOf } from "./fills";
import { PHASES } from "./phases";

const HEIGHT = 56;
// Less is a click.
const SHORTEST_PX = 4;

interface Props {
  readonly bins: Bins;
  readonly range: Range;
  readonly whole: Range;
  readonly change: (range: Range | undefined) => void;
}

export function PhaseChart({ bins, range, whole, change }: Props) {
  const text = useText();
  const scheme = useComputedColorScheme("light");
  const { ref, width } = useElementSize<HTMLDivElement>();
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const show = useEffectEvent(() => {
    const shown = chart.current;
    if (!shown) return;
    shown.setData(pointsOf(bins), false);
    shown.setScale("x", { min: whole.from, max: whole.to });
    // What is being dragged stays in the hand.
    if (!dragged(shown)) mark(shown);
  });
  const mark = useEffectEvent((shown: uPlot) => {
    const all = range.from <= whole.from && range.to >= whole.to;
    const [left, right] = all ? [0, 0] : [range.from, range.to].map((at) => shown.valToPos(at, "x"));
    shown.setSelect({ left: left ?? 0, width: (right ?? 0) - (left ?? 0), top: 0, height: HEIGHT }, false);
  });
  const choose = useEffectEvent((shown: uPlot) => {
    const { left, width: long } = shown.select;
    if (long < SHORTEST_PX) return mark(shown);
    change(within({ from: shown.posToVal(left, "x"), to: shown.posToVal(left + long, "x") }, whole));
  });
  const chooseAll = useEffectEvent(() => change(undefined));
  useEffect(() => {
    if (!place.current || width === 0) return undefined;
    const colours = getComputedStyle(place.current);
    const made = new uPlot(
      {
        width,
        height: HEIGHT,
        padding: [0, 0, 0, 0],
        legend: { show: false },
        scales: { x: { time: false, auto: false }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
        axes: [{ show: false }, { show: false }],
        // The highest sum first: what lies below is drawn over it.
        series: [{}, ...PHASES.map((phase) => ({ ...STEPS, fill: fillOf(phase, colours) })).reverse()],
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => (chooseAll(), null) },
        },
        hooks: { setSelect: [choose] },
      },
      pointsOf(bins),
      place.current,
    );
    chart.current = made;
    show();
    return () => {
      chart.current = undefined;
      made.destroy();
    };
    // What it shows is set below, without making it anew.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [width, scheme]);
  useEffect(show, [bins, range.from, range.to, whole.from, whole.to]);
  return (
    <div ref={ref} className={styles.chart}>
      <div ref={place} title={text("dragToZoom")} />
    </div>
  );
}

const STEPS: uPlot.Series = {
  width: 0,
  points: { show: false },
  ...(uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }),
};

const dragged = ({ cursor }: uPlot): boolean => cursor.drag?.x === true && cursor.event?.buttons === 1;

/** The last step ends where the last bin does. */
function pointsOf(bins: Bins): uPlot.AlignedData {
  const at = Array.from({ length: bins.size + 1 }, (_, bin) => bins.from + bin * bins.binMillis);
  const sums = stacked(bins).map((values) => [...values, values.at(-1) ?? 0]);
  return [at, ...sums.reverse()];
}
