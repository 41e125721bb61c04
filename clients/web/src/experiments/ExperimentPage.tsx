/** One experiment: what it is for, and its runs. */
import { Badge, Group, Stack, Text, Title } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { Failures } from "../actions/Failures";
import { Failure, Loading, Time } from "../components/facts";
import { RunList } from "../runs/RunList";
import { experimentSearch } from "../search";
import { useText } from "../text/language";
import { millis } from "../time";
import { ExperimentButtons } from "./ExperimentButtons";
import styles from "./experiments.module.css";
import { isArchived, useExperiment } from "./queries";
import { useExperimentActions, type Order } from "./useExperimentActions";

const route = getRouteApi("/experiments/$experimentId");

export function ExperimentPage() {
  const text = useText();
  const { experimentId } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { data: experiment, error } = useExperiment(experimentId);
  const actions = useExperimentActions();
  if (!experiment) return error ? <Failure error={error} /> : <Loading />;
  const { displayName } = experiment;
  const archived = isArchived(experiment);
  const leave = { to: "/experiments", search: search.namespace ? { namespace: search.namespace } : {} } as const;
  const act = (order: Order) =>
    actions.mutate(order, { onSuccess: () => (order.action === "delete" ? navigate(leave) : undefined) });
  return (
    <Stack>
      <Group>
        <Title order={2} size="h3" className={styles.whole}>
          <bdi>{displayName}</bdi>
        </Title>
        {archived ? (
          <Badge variant="light" color="gray">
            {text("archived")}
          </Badge>
        ) : null}
        <Text size="sm" c="dimmed">
          {text("created")}: <Time at={millis(experiment.createdAt)} />
        </Text>
        <ExperimentButtons {...{ experiment, act }} pending={actions.isPending} />
      </Group>
      {actions.error && actions.variables ? (
        <Failures
          action={actions.variables.action}
          failures={[{ id: experimentId, name: displayName, error: actions.error }]}
          close={actions.reset}
        />
      ) : null}
      {experiment.description ? <Text className={styles.text}>{experiment.description}</Text> : null}
      <RunList
        key={experimentId}
        experiment={experimentId}
        // The runs of an archived experiment are archived, too.
        search={archived ? { storage: "archived", ...search } : search}
        go={(changed) => void navigate({ search: (old) => experimentSearch({ ...changed(old) }) })}
      />
    </Stack>
  );
}
