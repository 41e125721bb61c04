/** One recurring run: what it does, when it fires next, what waits, and the runs that it has started. */
import { Alert, Button, Group, Stack, Text, Title } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { Failure, Loading } from "../components/facts";
import { PageTitle } from "../components/PageTitle";
import { LinkNote } from "../run/LinkNote";
import { RunTable } from "../runs/RunTable";
import { useText } from "../text/language";
import { Actions } from "./Actions";
import { Facts } from "./Facts";
import { ComingFires } from "./ComingFires";
import { useRecurringRun, useRunsOf } from "./queries";
import styles from "./Schedules.module.css";
import { Schedule, Status } from "./Status";

const route = getRouteApi("/recurring-runs/$recurringRunId");

export function RecurringRunPage() {
  const text = useText();
  const { recurringRunId } = route.useParams();
  const navigate = route.useNavigate();
  const found = useRecurringRun(recurringRunId);
  const one = found.data;
  if (!one) return found.error ? <Failure error={found.error} /> : <Loading />;
  return (
    <Stack>
      <Group justify="space-between" align="flex-start">
        <Stack gap={4} className={styles.head}>
          <PageTitle name={one.displayName} />
          <Group>
            <Status status={one.status} />
            <Schedule of={one} />
          </Group>
        </Stack>
        <Actions of={one} deleted={() => void navigate({ to: "/recurring-runs" })} />
      </Group>
      {found.error ? <Failure error={found.error} /> : null}
      {one.error?.message ? (
        <Alert color="red" title={text("error")} className={styles.long}>
          {one.error.message}
        </Alert>
      ) : null}
      <div className={styles.columns}>
        <Facts of={one} />
        <ComingFires of={one} />
      </div>
      <ItsRuns key={recurringRunId} recurringRunId={recurringRunId} />
    </Stack>
  );
}

function ItsRuns({ recurringRunId }: { recurringRunId: string }) {
  const text = useText();
  const { page = "" } = route.useSearch();
  const navigate = route.useNavigate();
  const { runs, nextPageToken: next, link, error } = useRunsOf(recurringRunId, page);
  const turn = (to: string) => void navigate({ search: to === "" ? {} : { page: to } });
  return (
    <Stack component="section" aria-label={text("itsRuns")} gap="xs">
      <Title order={3} size="h4">
        {text("itsRuns")}
      </Title>
      <LinkNote {...{ link, error }} />
      {runs?.length === 0 ? <Text c="dimmed">{text("noRunsYet")}</Text> : null}
      {runs && runs.length > 0 ? (
        <div className={styles.scroll} tabIndex={0} role="region" aria-label={text("itsRuns")}>
          <RunTable runs={runs} />
        </div>
      ) : null}
      {page !== "" || next !== "" ? (
        <Group>
          <Button variant="default" disabled={page === ""} onClick={() => turn("")}>
            {text("firstPage")}
          </Button>
          <Button variant="default" disabled={next === ""} onClick={() => turn(next)}>
            {text("nextPage")}
          </Button>
        </Group>
      ) : null}
    </Stack>
  );
}
