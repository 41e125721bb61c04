/** Which experiment the run belongs to. A namespace has no default one: there the newest is chosen at first. */
import { NativeSelect } from "@mantine/core";
import type { Experiment } from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";

import { reason } from "../server";
import { useText } from "../text/language";

interface Props {
  readonly experiments: readonly Experiment[];
  readonly error: unknown;
  readonly chosen: string;
  readonly change: (experimentId: string) => void;
}

export function ExperimentField({ experiments, error, chosen, change }: Props) {
  const text = useText();
  // It may be an older one than those that are listed.
  const unlisted = chosen !== "" && !experiments.some((one) => one.experimentId === chosen);
  return (
    <NativeSelect
      label={text("experiment")}
      value={chosen}
      onChange={(event) => change(event.currentTarget.value)}
      error={error ? reason(error) : null}
      data={[
        ...(firstOf(experiments) === "" ? [{ value: "", label: text("defaultExperiment") }] : []),
        ...(unlisted ? [chosen] : []),
        ...experiments.map((one) => ({ value: one.experimentId, label: one.displayName })),
      ]}
    />
  );
}

/** Empty for the server's default one. */
export function firstOf(experiments: readonly Experiment[]): string {
  const [newest] = experiments;
  return newest?.namespace ? newest.experimentId : "";
}
