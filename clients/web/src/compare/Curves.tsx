/** The ROC curves of all runs in one chart, and whose each is, with the area under it. */
import { Group, Stack, Text, Title, useComputedColorScheme } from "@mantine/core";
import type { ComparedRun } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { lazy, Suspense, useMemo } from "react";

import { look, MOST_LINES } from "../artifacts/lines";
import { areaUnder } from "../artifacts/metrics";
import { Loading } from "../components/facts";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { curvesOf } from "./classifications";
import styles from "./Compare.module.css";

// Few runs have any.
const RocCurves = lazy(() => import("../artifacts/RocCurve").then(({ RocCurves }) => ({ default: RocCurves })));

export function Curves({ runs }: { runs: readonly ComparedRun[] }) {
  const text = useText();
  const { language } = useLanguage();
  const scheme = useComputedColorScheme("light");
  const { shown, more } = useMemo(() => curvesOf(runs, MOST_LINES), [runs]);
  const curves = useMemo(() => shown.map(({ value }) => value), [shown]);
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 4 });
  if (shown.length === 0) return null;
  return (
    <Stack component="section" aria-label={text("rocCurves")} gap="xs">
      <Title order={3} size="h5">
        {text("rocCurves")}
      </Title>
      <Group align="flex-start" gap="xl">
        <div className={styles.chart}>
          <Suspense fallback={<Loading />}>
            <RocCurves curves={curves} />
          </Suspense>
        </div>
        <ul className={styles.legend}>
          {shown.map(({ run, of, value }, line) => (
            <li key={line}>
              <Line {...look(line, scheme)} />
              <span className={styles.cut} title={of ? `${run} – ${of}` : run}>
                <bdi>{run}</bdi>
                {of ? <bdi className={styles.of}>{of}</bdi> : null}
              </span>
              <Text span size="xs">
                {fill(text("areaUnderCurve"), { area: number.format(areaUnder(value)) })}
              </Text>
            </li>
          ))}
          {more > 0 ? <li>{fill(text("furtherArtifacts"), { count: more })}</li> : null}
        </ul>
      </Group>
    </Stack>
  );
}

function Line({ colour, dash }: { colour: string; dash: readonly number[] }) {
  return (
    <svg width={28} height={6} aria-hidden>
      <line
        x1={0}
        y1={3}
        x2={28}
        y2={3}
        strokeWidth={3}
        strokeDasharray={dash.join(" ")}
        style={{ stroke: `var(${colour})` }}
      />
    </svg>
  );
}
