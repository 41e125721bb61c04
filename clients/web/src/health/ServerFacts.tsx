/** Which release of the server answers, on what database. */
import type { Overview } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { Section } from "../components/Section";
import { Time } from "../components/facts";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Health.module.css";

export function ServerFacts({ overview }: { overview: Overview }) {
  const text = useText();
  return (
    <Section title={text("server")}>
      <dl className={styles.facts}>
        <dt>{text("version")}</dt>
        <dd>{overview.serverVersion}</dd>
        <dt>{text("database")}</dt>
        <dd>{overview.database}</dd>
        <dt>{text("schemaRevision")}</dt>
        <dd>{overview.schemaRevision}</dd>
        <dt>{text("asOf")}</dt>
        <dd>
          <Time at={millis(overview.at)} />
        </dd>
      </dl>
    </Section>
  );
}
