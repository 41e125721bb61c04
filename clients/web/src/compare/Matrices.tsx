/** The confusion matrices of all runs, one beside another. */
import { Stack, Text, Title } from "@mantine/core";
import type { ComparedRun } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { useMemo } from "react";

import { ConfusionMatrix } from "../artifacts/ConfusionMatrix";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { matricesOf } from "./classifications";
import styles from "./Compare.module.css";

export function Matrices({ runs }: { runs: readonly ComparedRun[] }) {
  const text = useText();
  const { shown, more } = useMemo(() => matricesOf(runs), [runs]);
  if (shown.length === 0) return null;
  return (
    <Stack component="section" aria-label={text("confusionMatrices")} gap="xs">
      <Title order={3} size="h5">
        {text("confusionMatrices")}
      </Title>
      <div className={styles.beside}>
        {shown.map(({ run, of, value }, index) => {
          const name = of ? `${run} – ${of}` : run;
          return (
            <div key={index} className={styles.matrix}>
              <Title order={4} size="h6" className={styles.cut} title={name}>
                {name}
              </Title>
              <ConfusionMatrix of={value} whose={name} />
            </div>
          );
        })}
      </div>
      {more > 0 ? <Text size="sm">{fill(text("furtherArtifacts"), { count: more })}</Text> : null}
    </Stack>
  );
}
