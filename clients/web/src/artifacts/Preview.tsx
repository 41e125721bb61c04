/**
 * What an artifact holds, as its type and its first bytes say. It was written by a task, so nothing in it is run: text
 * is text, also in Markdown, HTML is in a frame without an origin, and an image is one by its bytes.
 */
import type { Artifact } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { Code, Stack, Text } from "@mantine/core";
import { lazy, Suspense } from "react";

import { Failure, Loading } from "../components/facts";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import { imageType, MOST_OF_DOCUMENT, PAGE_BYTES, prettyJson, REST_OF_CHARACTER, textOf } from "./bytes";
import { ClassificationMetrics } from "./ClassificationMetrics";
import { Image } from "./Image";
import { MetricsTable } from "./MetricsTable";
import { usePart } from "./queries";
import { TextPages } from "./TextPages";

const Markdown = lazy(() => import("../components/Markdown").then(({ Markdown }) => ({ default: Markdown })));

interface Props {
  readonly artifact: Artifact;
  readonly from: number;
  readonly turn: (from: number) => void;
}

export function Preview({ artifact, from, turn }: Props) {
  switch (artifact.type) {
    case "system.Metrics":
      return <MetricsTable of={artifact.metadata} />;
    case "system.ClassificationMetrics":
    case "system.SlicedClassificationMetrics":
      return <ClassificationMetrics type={artifact.type} of={artifact.metadata} />;
    case "system.HTML":
      return <Html name={artifact.name} />;
    case "system.Markdown":
      return <Notes uri={artifact.uri} />;
    default:
      return <Content uri={artifact.uri} from={from} turn={turn} />;
  }
}

function Notes({ uri }: { uri: string }) {
  const part = usePart(uri, 0, MOST_OF_DOCUMENT);
  if (part.error) return <Failure error={part.error} />;
  if (!part.data) return <Loading />;
  const { bytes, total } = part.data;
  return (
    <Stack gap="xs">
      {total !== undefined && total > bytes.length ? <Cut count={bytes.length} /> : null}
      <Suspense fallback={<Loading />}>
        <Markdown source={new TextDecoder().decode(bytes)} />
      </Suspense>
    </Stack>
  );
}

function Html({ name }: { name: string }) {
  const text = useText();
  return (
    <Stack gap="xs">
      <Text size="sm">{text("htmlIsBare")}</Text>
      {/* Its reply has a policy of its own; without a word in `sandbox` it has no origin and runs no script. */}
      <iframe
        sandbox=""
        referrerPolicy="no-referrer"
        title={text("preview")}
        className={styles.page}
        src={`/apis/penstock/v1/artifacts/${encodeURIComponent(name)}:html`}
      />
    </Stack>
  );
}

/** Of an object by its URI: an image as one, other content as text. */
export function Content({ uri, from, turn }: { uri: string } & Pick<Props, "from" | "turn">) {
  const text = useText();
  const part = usePart(uri, from, PAGE_BYTES + REST_OF_CHARACTER);
  if (part.error) return <Failure error={part.error} />;
  if (!part.data) return <Loading />;
  const { bytes, total } = part.data;
  const packed = from === 0 && total === undefined;
  const image = from === 0 ? imageType(bytes) : undefined;
  if (image) return <Image uri={uri} type={image} total={total} />;
  const shown = textOf(bytes, PAGE_BYTES, from === 0);
  const json = from === 0 && bytes.length <= PAGE_BYTES && shown !== undefined ? prettyJson(shown) : undefined;
  const hasPages = total !== undefined && (from > 0 || (shown !== undefined && total > PAGE_BYTES));
  return (
    <Stack gap="xs">
      {packed ? <Text size="sm">{text("firstFile")}</Text> : null}
      {packed && bytes.length > PAGE_BYTES ? <Cut count={PAGE_BYTES} /> : null}
      {hasPages ? <TextPages from={from} total={total} turn={turn} /> : null}
      {shown === undefined ? <Text>{text("noPreview")}</Text> : null}
      {shown === "" ? <Text c="dimmed">{text("emptyFile")}</Text> : null}
      {shown ? (
        <Code block className={styles.content} tabIndex={0}>
          {json ?? shown}
        </Code>
      ) : null}
    </Stack>
  );
}

function Cut({ count }: { count: number }) {
  const text = useText();
  return <Text size="sm">{fill(text("firstBytes"), { count })}</Text>;
}
