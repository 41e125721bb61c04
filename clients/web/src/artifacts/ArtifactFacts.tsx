/** What is known of an artifact, and a preview; in a drawer and in the panel of its lineage. */
import { Anchor, Code, Group, Stack, Title } from "@mantine/core";
import type { Artifact } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { ReactNode } from "react";

import { Failure, Loading, Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Artifacts.module.css";
import { Preview } from "./Preview";
import { useArtifact } from "./queries";

interface Props {
  readonly name: string;
  /** Where the page of its bytes begins that is shown. */
  readonly from: number;
  readonly turn: (from: number) => void;
  /** What can be done from here, beside the download. */
  readonly ways: ReactNode;
}

export function ArtifactFacts({ name, ...props }: Props) {
  const found = useArtifact(name);
  if (found.error) return <Failure error={found.error} />;
  return found.data ? <Shown artifact={found.data} {...props} /> : <Loading />;
}

function Shown({ artifact, from, turn, ways }: { readonly artifact: Artifact } & Omit<Props, "name">) {
  const text = useText();
  const namespace = useNamespace();
  const metadata = Object.keys(artifact.metadata ?? {}).length > 0 && !isMetrics(artifact.type);
  return (
    <Stack>
      <Title order={3} size="h4" className={styles.link} title={artifact.displayName}>
        {artifact.displayName || artifact.name}
      </Title>
      <dl className={styles.facts}>
        <dt>{text("type")}</dt>
        <dd>{artifact.type}</dd>
        <dt>{text("task")}</dt>
        <dd>
          <TextLink
            inherit
            to="/runs/$runId"
            params={{ runId: artifact.runId }}
            search={{ ...namespace, task: artifact.taskPath }}
          >
            {artifact.taskPath}
          </TextLink>
        </dd>
        <dt>{text("created")}</dt>
        <dd>
          <Time at={millis(artifact.createdAt)} />
        </dd>
        <dt>{text("address")}</dt>
        <dd>{artifact.uri}</dd>
      </dl>
      <Group>
        {ways}
        {isMetrics(artifact.type) ? null : (
          <Anchor href={`/apis/penstock/v1/artifacts/${encodeURIComponent(artifact.name)}:download`} download>
            {text("download")}
          </Anchor>
        )}
      </Group>
      <Title order={4} size="h5">
        {text("preview")}
      </Title>
      <Preview artifact={artifact} from={from} turn={turn} />
      {metadata ? (
        <>
          <Title order={4} size="h5">
            {text("metadata")}
          </Title>
          <Code block className={styles.content} tabIndex={0}>
            {JSON.stringify(artifact.metadata, null, 2)}
          </Code>
        </>
      ) : null}
    </Stack>
  );
}

/** Whether all there is to it is its metadata. */
function isMetrics(type: string): boolean {
  return type.endsWith("Metrics") && type.startsWith("system.");
}
