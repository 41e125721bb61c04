/** The chosen version: its graph, its inputs, its document. */
import { Code, Tabs, Text, Title } from "@mantine/core";
import type { PipelineVersion } from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";
import { lazy, Suspense } from "react";

import { Description } from "../components/Description";
import { Failure, Loading } from "../components/facts";
import { useText } from "../text/language";
import { InputTable } from "./InputTable";
import styles from "./Pipelines.module.css";
import { useVersion } from "./queries";
import { VERSION_VIEWS, type VersionView } from "./search";

// React Flow and ELK are most of the bundle.
const Changes = lazy(() => import("./Changes").then(({ Changes }) => ({ default: Changes })));
const VersionGraph = lazy(() => import("./VersionGraph").then(({ VersionGraph }) => ({ default: VersionGraph })));
const SHOWN_CHARACTERS = 200_000;

interface Props {
  readonly pipelineId: string;
  readonly versionId: string;
  readonly view: VersionView;
  readonly choose: (view: VersionView) => void;
  /** A description that is shown already: the first version has that of its pipeline. */
  readonly described: string;
  /** Those of the pipeline that it can be compared with, the newest first. */
  readonly versions: readonly PipelineVersion[];
  readonly against: string | undefined;
  readonly compare: (versionId: string) => void;
}

export function Version({ pipelineId, versionId, view, choose, described, versions, against, compare }: Props) {
  const text = useText();
  const version = useVersion(pipelineId, versionId);
  if (version.error) return <Failure error={version.error} />;
  if (!version.data) return <Loading />;
  const { displayName, description, pipelineSpec: document = {} } = version.data;
  return (
    <section aria-label={text("version")}>
      <Title order={3} size="h4" className={styles.name}>
        {text("version")}: {displayName}
      </Title>
      {description && description !== described ? <Description source={description} /> : null}
      <Tabs value={view} onChange={(to) => choose(VERSION_VIEWS.find((one) => one === to) ?? "graph")}>
        <Tabs.List>
          {VERSION_VIEWS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {text(one)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="graph" className={styles.graph}>
          <Suspense fallback={<Loading />}>
            {view === "graph" ? <VersionGraph key={versionId} id={versionId} document={document} /> : null}
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="inputs">
          <InputTable document={document} />
        </Tabs.Panel>
        <Tabs.Panel value="document">{view === "document" ? <Document document={document} /> : null}</Tabs.Panel>
        <Tabs.Panel value="changes">
          <Suspense fallback={<Loading />}>
            {view === "changes" ? <Changes {...{ pipelineId, versionId, document, versions, against, compare }} /> : null}
          </Suspense>
        </Tabs.Panel>
      </Tabs>
    </section>
  );
}

function Document({ document }: { document: object }) {
  const text = useText();
  const written = JSON.stringify(document, null, 2);
  return (
    <>
      {written.length > SHOWN_CHARACTERS ? <Text c="dimmed">{text("documentIsCut")}</Text> : null}
      <Code block tabIndex={0} aria-label={text("document")} className={styles.document}>
        {written.slice(0, SHOWN_CHARACTERS)}
      </Code>
    </>
  );
}
