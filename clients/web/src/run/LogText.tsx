/** A log as a terminal would show it. It was written by a task: nothing in it is more than text with a colour. */
import { memo, useMemo } from "react";

import styles from "./LogText.module.css";
import { pieces } from "./ansi";

export const LogText = memo(function LogText({ text }: { text: string }) {
  const found = useMemo(() => pieces(text), [text]);
  return found.map(({ text: part, colour, bold }, number) =>
    colour === "" && !bold ? (
      part
    ) : (
      <span key={number} className={`${styles[colour] ?? ""} ${bold ? styles.bold : ""}`}>
        {part}
      </span>
    ),
  );
});
