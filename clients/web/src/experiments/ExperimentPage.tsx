/** One experiment: what it is for, and its runs. */
import { Group, Spoiler, Stack, Text } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { Failures } from "../actions/Failures";
import { Archived } from "../components/Archived";
import { Failure, Loading, Time } from "../components/facts";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
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
  const namespace = useNamespace();
  const navigate = route.useNavigate();
  const { data: experiment, error } = useExperiment(experimentId);
  const actions = useExperimentActions();
  if (!experiment) return error ? <Failure error={error} /> : <Loading />;
  const { displayName } = experiment;
  const archived = isArchived(experiment);
  const act = (order: Order) =>
    actions.mutate(order, {
      onSuccess: () => {
        if (order.action === "delete") void navigate({ to: "/experiments", search: namespace });
      },
    });
  return (
    <Stack>
      <Group>
        <PageTitle name={displayName} />
        {archived ? <Archived /> : null}
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
      {experiment.description ? (
        <Spoiler maxHeight={120} showLabel={text("showMore")} hideLabel={text("showLess")}>
          <Text className={styles.text}>{experiment.description}</Text>
        </Spoiler>
      ) : null}
      <RunList
        key={experimentId}
        experiment={experimentId}
        // The runs of an archived experiment are archived, too.
        search={archived ? { ...search, storage: search.storage ?? "archived" } : search}
        go={(changed) => void navigate({ search: (old) => experimentSearch({ ...changed(old) }) })}
      />
    </Stack>
  );
}
