/** The artifact that the address names, beside the run that made it: what is known of it, and a preview. */
import { Anchor, Code, Drawer, Stack, Title } from "@mantine/core";
import type { Artifact } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { Failure, Loading, Time } from "../components/facts";
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
  readonly close: () => void;
}

export function ArtifactDrawer({ name, from, turn, close }: Props) {
  const text = useText();
  const found = useArtifact(name);
  return (
    // What keeps the page behind from scrolling would need a style that the page's policy refuses.
    <Drawer
      opened
      onClose={close}
      position="right"
      size="56rem"
      lockScroll={false}
      title={text("artifact")}
      closeButtonProps={{ "aria-label": text("close") }}
    >
      {found.error ? <Failure error={found.error} /> : null}
      {found.data ? <Shown artifact={found.data} from={from} turn={turn} /> : found.error ? null : <Loading />}
    </Drawer>
  );
}

function Shown({ artifact, from, turn }: { artifact: Artifact } & Pick<Props, "from" | "turn">) {
  const text = useText();
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
        <dd>{artifact.taskPath}</dd>
        <dt>{text("created")}</dt>
        <dd>
          <Time at={millis(artifact.createdAt)} />
        </dd>
        <dt>{text("address")}</dt>
        <dd>{artifact.uri}</dd>
      </dl>
      {isMetrics(artifact.type) ? null : (
        <Anchor href={`/apis/penstock/v1/artifacts/${encodeURIComponent(artifact.name)}:download`} download>
          {text("download")}
        </Anchor>
      )}
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
