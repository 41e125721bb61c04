/** What to do in a new installation. The code is for the server that served this page. */
import { Code, Stack, Text } from "@mantine/core";

import { ButtonLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { Section } from "../components/Section";
import { useText } from "../text/language";
import styles from "./Home.module.css";

const COMMAND = "penstock run pipeline.yaml";

const sdk = (origin: string): string =>
  [
    "import kfp",
    `client = kfp.Client(host=${JSON.stringify(origin)})`,
    'client.create_run_from_pipeline_package("pipeline.yaml")',
  ].join("\n");

export function FirstSteps() {
  const text = useText();
  const namespace = useNamespace();
  return (
    <Section title={text("firstSteps")}>
      <Text>{text("nothingYet")}</Text>
      <Stack component="ol" className={styles.steps}>
        <li>
          <Text>{text("byCommand")}</Text>
          <Code block>{COMMAND}</Code>
        </li>
        <li>
          <Text>{text("bySdk")}</Text>
          <Code block>{sdk(globalThis.location.origin)}</Code>
        </li>
        <li>
          <Text>{text("byUpload")}</Text>
          <ButtonLink to="/pipelines" search={namespace} variant="default" mt={4}>
            {text("addPipeline")}
          </ButtonLink>
        </li>
      </Stack>
    </Section>
  );
}
