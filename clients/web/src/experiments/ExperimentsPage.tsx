/** All experiments, the newest first. */
import { Button, Code, Group, NativeSelect, Stack, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { getRouteApi } from "@tanstack/react-router";

import { Failures } from "../actions/Failures";
import { Failure, Loading } from "../components/facts";
import { useMay } from "../components/may";
import { NameFilter } from "../components/NameFilter";
import { PageTitle } from "../components/PageTitle";
import { Pager } from "../components/Pager";
import { experimentsSearch, STORAGES } from "../search";
import { useText } from "../text/language";
import { CreateExperiment } from "./CreateExperiment";
import { ExperimentRow } from "./ExperimentRow";
import { useExperiments } from "./queries";
import { useExperimentActions } from "./useExperimentActions";

const route = getRouteApi("/experiments");

export function ExperimentsPage() {
  const text = useText();
  const may = useMay();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const list = useExperiments(search);
  const { error, variables, isPending, mutate, reset } = useExperimentActions();
  const [creating, create] = useDisclosure(false);
  // A token belongs to the filter it was made for.
  const change = (changed: Record<string, string>) =>
    void navigate({ search: (old) => experimentsSearch({ ...old, page: "", ...changed }) });
  const found = list.data?.experiments ?? [];
  return (
    <Stack>
      <PageTitle name={text("experiments")} />
      <Group justify="space-between">
        <Group>
          <NameFilter name={search.name} change={(name) => change({ name })} />
          <NativeSelect
            aria-label={text("storage")}
            value={search.storage ?? "active"}
            onChange={(event) => change({ storage: event.currentTarget.value })}
            data={STORAGES.map((value) => ({ value, label: text(value) }))}
          />
        </Group>
        {may("experiments create") ? (
          <Button onClick={create.open}>{text("newExperiment")}</Button>
        ) : null}
      </Group>
      <CreateExperiment opened={creating} close={create.close} />
      {error && variables ? (
        <Failures
          action={variables.action}
          failures={[{ id: variables.experiment.experimentId, name: variables.experiment.displayName, error }]}
          close={reset}
        />
      ) : null}
      {list.error ? <Failure error={list.error} /> : null}
      {list.isPending ? <Loading /> : null}
      {list.data && found.length === 0 ? (
        <Text c="dimmed">
          {text("noExperiments")}. {text("makeExperiment")} <Code>penstock experiments create</Code>
        </Text>
      ) : null}
      {found.length > 0 ? (
        <Table.ScrollContainer minWidth={800} type="native">
          <Table highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                {(["name", "lastRun", "runs", "created", "actions"] as const).map((key) => (
                  <Table.Th key={key}>{text(key)}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {found.map((experiment) => (
                <ExperimentRow
                  key={experiment.experimentId}
                  pending={isPending}
                  act={mutate}
                  {...{ experiment }}
                />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
      <Pager page={search.page} next={list.data?.nextPageToken ?? ""} go={(page) => change({ page })} />
    </Stack>
  );
}
