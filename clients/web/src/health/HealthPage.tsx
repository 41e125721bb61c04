/** How the installation does: problems first, then what waits and runs, who carries it out, and on what. */
import { Alert, Stack, Text } from "@mantine/core";

import { Failure, Loading } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { POLL_MS } from "../server";
import { useText } from "../text/language";
import { Executors } from "./Executors";
import styles from "./Health.module.css";
import { OpenRuns } from "./OpenRuns";
import { Pools } from "./Pools";
import { useOverview } from "./queries";
import { ServerFacts } from "./ServerFacts";
import { Words } from "./Words";

export function HealthPage() {
  const text = useText();
  const { data, error } = useOverview(POLL_MS);
  return (
    <Stack gap="lg">
      <PageTitle name={text("health")} />
      {error ? <Failure error={error} /> : null}
      {!data && !error ? <Loading /> : null}
      {data?.problems.map((problem) => (
        <Alert key={problem} color="red" title={text("problem")} role="alert">
          <div className={styles.words}>
            <Words of={problem} />
          </div>
        </Alert>
      ))}
      {data?.problems.length === 0 ? <Text c="dimmed">{text("noProblems")}</Text> : null}
      {data ? (
        <>
          <OpenRuns overview={data} />
          <Executors overview={data} />
          <Pools />
          <ServerFacts overview={data} />
        </>
      ) : null}
    </Stack>
  );
}
