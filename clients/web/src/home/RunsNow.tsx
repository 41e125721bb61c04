/** The runs that have not ended, the newest first, at most ten; the numbers lead to all. */
import { Text } from "@mantine/core";

import { Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { Section } from "../components/Section";
import { StateLinks } from "../health/StateLinks";
import { LinkNote } from "../run/LinkNote";
import type { ListedRuns } from "../runs/listWatch";
import { RunTable } from "../runs/RunTable";
import { useText } from "../text/language";

interface Props {
  readonly runs: ListedRuns;
  /** Number of runs by state. */
  readonly counts: Readonly<Record<string, number>>;
}

export function RunsNow({ runs: { runs, link, error }, counts }: Props) {
  const text = useText();
  const namespace = useNamespace();
  return (
    <Section title={text("runsNow")} aside={<StateLinks counts={counts} />}>
      <LinkNote {...{ link, error }} />
      {!runs && link === "opening" ? <Loading /> : null}
      {runs?.length === 0 ? (
        <Text c="dimmed">
          {text("nothingRuns")}. {/* What has ended well is nowhere else on this page. */}
          <TextLink to="/runs" search={namespace} inherit underline="always">
            {text("toTheRuns")}
          </TextLink>
        </Text>
      ) : null}
      {runs && runs.length > 0 ? <RunTable runs={runs} /> : null}
    </Section>
  );
}
