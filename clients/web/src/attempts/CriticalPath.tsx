/** The chain of tasks that the end of a run waited for, each with its part of the run's time, as ways to them. */
import { Group, Text } from "@mantine/core";

import { Duration, Failure, Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { runSearch } from "../search";
import { useLanguage, useText } from "../text/language";
import styles from "./Attempts.module.css";
import { useTimeline } from "./queries";

export function CriticalPath({ runId, goesOn }: { readonly runId: string; readonly goesOn: boolean }) {
  const text = useText();
  const { language } = useLanguage();
  const { data, error } = useTimeline(runId, goesOn, true);
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  return (
    <section aria-label={text("criticalPath")} className={styles.critical}>
      <Text size="sm">{text("criticalPathMeans")}</Text>
      {error ? <Failure error={error} /> : null}
      {!data && !error ? <Loading /> : null}
      {data && data.chain.length === 0 ? <Text c="dimmed">{text("noCriticalPath")}</Text> : null}
      <ol className={styles.chain}>
        {data?.chain.map(({ path, name, millis, share }) => (
          <li key={path}>
            <TextLink
              size="sm"
              from="/runs/$runId"
              to="/runs/$runId"
              search={(old) => runSearch({ ...old, task: path })}
              title={path}
            >
              {name}
            </TextLink>
            <Group gap={6} wrap="nowrap" fz="sm">
              <Duration of={millis} />
              <span aria-hidden className={styles.share}>
                <span style={{ width: `${share * 100}%` }} />
              </span>
              <span title={text("shareOfRun")}>{percent.format(share)}</span>
            </Group>
          </li>
        ))}
      </ol>
    </section>
  );
}
