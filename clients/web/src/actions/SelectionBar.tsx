/** What may be done to the selected runs. Those it is done to are no longer selected; those that it failed for are,
 * and their errors are shown. */
import { Button, Group, Stack, Text } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { MOST_RUNS } from "../compare/search";
import { ButtonLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useText } from "../text/language";
import { ActionButtons } from "./ActionButtons";
import { Failures } from "./Failures";
import { ACTIONS } from "./fits";
import { named, useRunActions } from "./useRunActions";

interface Props {
  readonly selected: readonly Run[];
  readonly deselect: (runs: readonly Run[]) => void;
}

export function SelectionBar({ selected, deselect }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const { data, variables, isPending, mutate, reset } = useRunActions();
  return (
    <Stack gap="xs">
      <Group gap="sm" role="group" aria-label={text("actions")}>
        <Text size="sm" role="status">
          {text("selected")}: {selected.length}
        </Text>
        <ActionButtons
          runs={selected}
          actions={ACTIONS}
          counted
          pending={isPending}
          act={(action, runs) =>
            mutate(
              { action, runs },
              {
                onSuccess: (failures) => {
                  const failed = new Set(failures.map(({ of }) => of));
                  deselect(runs.filter((run) => !failed.has(run)));
                },
              },
            )
          }
        />
        {selected.length >= 2 && selected.length <= MOST_RUNS ? (
          <ButtonLink
            to="/compare"
            search={{ run: selected.map(({ runId }) => runId), ...namespace }}
            size="xs"
            variant="default"
          >
            {text("compare")} ({selected.length})
          </ButtonLink>
        ) : null}
        {selected.length > 0 ? (
          <Button size="xs" variant="subtle" onClick={() => deselect(selected)}>
            {text("deselect")}
          </Button>
        ) : null}
      </Group>
      {data && variables ? <Failures action={variables.action} failures={named(data)} close={reset} /> : null}
    </Stack>
  );
}
