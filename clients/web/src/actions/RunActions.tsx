/** What may be done to one run: only what fits its state is there. */
import { Stack } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useNavigate } from "@tanstack/react-router";

import { useNamespace } from "../components/namespace";
import { ActionButtons } from "./ActionButtons";
import { Failures } from "./Failures";
import { ACTIONS, fitting } from "./fits";
import { named, useRunActions } from "./useRunActions";

export function RunActions({ run }: { run: Run }) {
  const navigate = useNavigate();
  const namespace = useNamespace();
  const { data, variables, isPending, mutate, reset } = useRunActions();
  const actions = ACTIONS.filter((action) => fitting(action, [run]).length > 0);
  return (
    <Stack gap="xs">
      <ActionButtons
        runs={[run]}
        {...{ actions }}
        counted={false}
        pending={isPending}
        act={(action, runs) =>
          mutate(
            { action, runs },
            {
              onSuccess: (failures) => {
                if (action === "delete" && failures.length === 0) void navigate({ to: "/runs", search: namespace });
              },
            },
          )
        }
      />
      {data && variables ? <Failures action={variables.action} failures={named(data)} close={reset} /> : null}
    </Stack>
  );
}
