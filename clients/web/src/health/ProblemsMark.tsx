/** A red mark beside the way to the page of health, with the number of problems, as long as there are any. */
import { Badge, VisuallyHidden } from "@mantine/core";

import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Health.module.css";
import { SELDOM_MS, useOverview } from "./queries";

export function ProblemsMark() {
  const text = useText();
  const overview = useOverview(SELDOM_MS);
  const count = overview.data?.problems.length ?? 0;
  if (count === 0) return null;
  const words = fill(text("problemCount"), { count });
  return (
    <>
      <Badge circle size="sm" color="red.9" className={styles.mark} title={words} aria-hidden data-problems={count}>
        {count}
      </Badge>
      <VisuallyHidden>{words}</VisuallyHidden>
    </>
  );
}
