/** The ROC curve and the confusion matrix of a classifier, or those of each slice of what it was tried on. */
import type { JsonObject } from "@bufbuild/protobuf";
import { Stack, Text, Title } from "@mantine/core";
import { lazy, Suspense } from "react";

import { Loading } from "../components/facts";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import styles from "./Artifacts.module.css";
import { ConfusionMatrix } from "./ConfusionMatrix";
import { areaUnder, classifications, type Classification } from "./metrics";
import { PointsTable } from "./PointsTable";

// Few readers look at one.
const RocCurve = lazy(() => import("./RocCurve").then(({ RocCurve }) => ({ default: RocCurve })));

export function ClassificationMetrics({ type, of }: { type: string; of: JsonObject | undefined }) {
  const text = useText();
  const found = classifications(type, of).filter(({ curve, matrix }) => curve.length > 0 || matrix !== undefined);
  if (found.length === 0) return <Text c="dimmed">{text("noMetrics")}</Text>;
  return (
    <Stack>
      {found.map((one, index) => (
        <One key={index} of={one} />
      ))}
    </Stack>
  );
}

function One({ of: { name, curve, matrix } }: { of: Classification }) {
  const text = useText();
  const { language } = useLanguage();
  const area = new Intl.NumberFormat(language, { maximumFractionDigits: 4 }).format(areaUnder(curve));
  return (
    <Stack gap="xs" component="section" aria-label={name || text("preview")}>
      {name ? (
        <Title order={5} className={styles.link} title={name}>
          {name}
        </Title>
      ) : null}
      {curve.length > 0 ? (
        <>
          <Title order={name ? 6 : 5} size="h6">
            {text("rocCurve")}
          </Title>
          <Text size="sm">{fill(text("areaUnderCurve"), { area })}</Text>
          <Suspense fallback={<Loading />}>
            <RocCurve curve={curve} />
          </Suspense>
          <PointsTable curve={curve} />
        </>
      ) : null}
      {matrix ? (
        <>
          <Title order={name ? 6 : 5} size="h6">
            {text("confusionMatrix")}
          </Title>
          <ConfusionMatrix of={matrix} />
        </>
      ) : null}
    </Stack>
  );
}
