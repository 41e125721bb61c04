/** What a user says of a thing, as Markdown. */
import { Text } from "@mantine/core";
import { lazy, Suspense } from "react";

import styles from "./Markdown.module.css";

const Markdown = lazy(() => import("./Markdown").then(({ Markdown }) => ({ default: Markdown })));

export function Description({ source }: { source: string }) {
  return (
    <div className={styles.bounded} tabIndex={0}>
      <Suspense fallback={<Text className={styles.plain}>{source}</Text>}>
        <Markdown source={source} />
      </Suspense>
    </div>
  );
}
