/** When each task waited and ran, as bars over the time of the run, or over the part of it that is chosen. */
import { Text } from "@mantine/core";
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useEffectEvent, useLayoutEffect, useMemo, useRef } from "react";

import { Overview } from "../attempts/Overview";
import { useText } from "../text/language";
import { Bars } from "./Bars";
import { extentOf, type Range } from "./spans";
import { Rows } from "./Rows";
import styles from "./RunPage.module.css";
import { TimeAxis } from "./TimeAxis";
import type { Row } from "./tree";
import { useRange } from "./useRange";
import { ZoomButtons } from "./ZoomButtons";
import { moved, zoomed } from "./zoom";

const WHEEL_ZOOM = 1.0015;

interface Props {
  readonly runId: string;
  readonly goesOn: boolean;
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly now: number;
  readonly marked: ReadonlySet<string>;
}

export function Timeline({ now, rows, ...props }: Props) {
  const whole = useMemo(() => extentOf(rows, now), [rows, now]) ?? { from: now - 1, to: now };
  return <Zoomed {...props} {...{ rows, now, whole }} />;
}

function Zoomed({ runId, goesOn, rows, now, whole, ...props }: Props & { whole: Range }) {
  const text = useText();
  const { range, change } = useRange(whole);
  const { ref: sized, width } = useElementSize();
  const axis = useRef<HTMLSpanElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const wheeled = useEffectEvent((event: WheelEvent) => {
    const track = axis.current?.getBoundingClientRect();
    // A wheel alone scrolls the rows.
    if (!track || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    const way = event.deltaY || event.deltaX;
    if (event.shiftKey) return change(moved(range, whole, way / track.width));
    const at = Math.min(1, Math.max(0, (event.clientX - track.left) / track.width));
    change(zoomed(range, whole, WHEEL_ZOOM ** way, at));
  });
  useLayoutEffect(() => {
    const listener = (event: WheelEvent) => wheeled(event);
    const on = box.current;
    // React's own listener may not keep the browser from zooming the page.
    on?.addEventListener("wheel", listener, { passive: false });
    return () => on?.removeEventListener("wheel", listener);
  }, []);
  const ref = useMergedRef(sized, axis);
  return (
    <div ref={box} className={styles.timeline}>
      <ZoomButtons {...{ range, whole, change }} />
      <Overview {...{ runId, goesOn, range, whole, change }} />
      <div className={styles.view}>
        <Rows
          label={text("timeline")}
          className={styles.bars}
          {...props}
          rows={rows}
          head={
            <>
              <Text component="span" size="sm" fw={700}>
                {text("task")}
              </Text>
              <span ref={ref} className={styles.track}>
                <TimeAxis range={range} width={width} />
              </span>
            </>
          }
          behind={
            <>
              <span />
              <span className={styles.track}>
                <TimeAxis behind range={range} width={width} />
              </span>
            </>
          }
        >
          {({ node: { task } }) => (
            <>
              <span role="gridcell" className={styles.name}>
                {task.path}
              </span>
              <span role="gridcell" className={styles.track}>
                <Bars {...{ runId, task, range }} now={task.finishedAt ?? now} />
              </span>
            </>
          )}
        </Rows>
      </div>
    </div>
  );
}
