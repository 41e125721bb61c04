/** Leads to the experiment of a run; nothing once that is deleted, since its runs stay. */
import { Anchor, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { useNamespace } from "../components/namespace";
import { useText } from "../text/language";
import styles from "./experiments.module.css";
import { useExperiment } from "./queries";

export function ExperimentLink({ experimentId }: { experimentId: string }) {
  const text = useText();
  const namespace = useNamespace();
  const { data } = useExperiment(experimentId);
  if (!data) return null;
  return (
    <Text size="sm" className={styles.name}>
      {text("experiment")}:{" "}
      <Anchor
        underline="always"
        renderRoot={(props) => (
          <Link {...props} to="/experiments/$experimentId" params={{ experimentId }} search={namespace} />
        )}
        title={data.displayName}
      >
        {data.displayName}
      </Anchor>
    </Text>
  );
}
