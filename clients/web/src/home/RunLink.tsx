/** A run's name as the way to its page, cut where it is longer than its place. */
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import styles from "./Home.module.css";

export function RunLink({ run }: { run: Run }) {
  const namespace = useNamespace();
  return (
    <TextLink
      to="/runs/$runId"
      params={{ runId: run.runId }}
      search={namespace}
      size="sm"
      className={styles.name}
      title={run.displayName}
    >
      <bdi>{run.displayName}</bdi>
    </TextLink>
  );
}
