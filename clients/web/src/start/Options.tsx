/** How a run is executed and what it is found by. */
import { Checkbox, Fieldset, NativeSelect, Stack, Textarea, TextInput } from "@mantine/core";

import { useText } from "../text/language";
import { deadlineOf, labelsOf, priorityOf, type General } from "./request";

interface Props {
  readonly general: General;
  readonly change: (changed: Partial<General>) => void;
}

const CACHING = ["", "on", "off"] as const;

export function Options({ general, change }: Props) {
  const text = useText();
  return (
    <Fieldset legend={text("options")}>
      <Stack>
        <NativeSelect
          label={text("caching")}
          value={general.caching}
          onChange={({ currentTarget: { value } }) => change({ caching: CACHING.find((one) => one === value) ?? "" })}
          data={[
            { value: "", label: text("cachingAsSet") },
            { value: "on", label: text("cachingOn") },
            { value: "off", label: text("cachingOff") },
          ]}
        />
        <Checkbox
          label={text("failFast")}
          checked={general.failFast}
          onChange={(event) => change({ failFast: event.currentTarget.checked })}
        />
        <TextInput
          label={text("deadline")}
          description={text("deadlineHint")}
          inputMode="numeric"
          value={general.deadline}
          onChange={(event) => change({ deadline: event.currentTarget.value })}
          error={deadlineOf(general.deadline) === undefined ? text("noDeadline") : null}
        />
        <TextInput
          label={text("priority")}
          description={text("priorityHint")}
          value={general.priority}
          onChange={(event) => change({ priority: event.currentTarget.value })}
          error={priorityOf(general.priority) === undefined ? text("noPriority") : null}
        />
        <Textarea
          label={text("labels")}
          description={text("labelsHint")}
          autosize
          minRows={2}
          maxRows={20}
          spellCheck={false}
          value={general.labels}
          onChange={(event) => change({ labels: event.currentTarget.value })}
          error={labelsOf(general.labels) === undefined ? text("noLabel") : null}
        />
        <TextInput
          label={text("pipelineRoot")}
          description={text("pipelineRootHint")}
          value={general.pipelineRoot}
          onChange={(event) => change({ pipelineRoot: event.currentTarget.value })}
        />
        <TextInput
          label={text("serviceAccount")}
          description={text("serviceAccountHint")}
          value={general.serviceAccount}
          onChange={(event) => change({ serviceAccount: event.currentTarget.value })}
        />
      </Stack>
    </Fieldset>
  );
}
