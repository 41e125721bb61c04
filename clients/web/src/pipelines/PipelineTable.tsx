/** One page of pipelines as a table. Each row asks for its newest version itself. */
import { Table, Text } from "@mantine/core";
import type { Pipeline } from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";

import { Time } from "../components/facts";
import { TextLink } from "../components/links";
import { LastRuns } from "../runs/LastRuns";
import { reason } from "../server";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Pipelines.module.css";
import { useVersions } from "./queries";

interface Props {
  readonly pipelines: readonly Pipeline[];
  readonly namespace: string | undefined;
}

export function PipelineTable({ pipelines, namespace }: Props) {
  const text = useText();
  if (pipelines.length === 0) return <Text c="dimmed">{text("noPipelines")}</Text>;
  return (
    <Table.ScrollContainer minWidth={640} type="native">
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{text("name")}</Table.Th>
            <Table.Th>{text("description")}</Table.Th>
            <Table.Th>{text("newestVersion")}</Table.Th>
            <Table.Th>{text("latestRuns")}</Table.Th>
            <Table.Th>{text("created")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {pipelines.map((pipeline) => (
            <Table.Tr key={pipeline.pipelineId} className={styles.row}>
              <Table.Td className={styles.name}>
                <TextLink
                  size="sm"
                  to="/pipelines/$pipelineId"
                  params={{ pipelineId: pipeline.pipelineId }}
                  search={namespace ? { namespace } : {}}
                >
                  {pipeline.displayName}
                </TextLink>
              </Table.Td>
              <Table.Td className={styles.name}>{pipeline.description}</Table.Td>
              <Table.Td className={styles.name}>
                <Newest pipelineId={pipeline.pipelineId} />
              </Table.Td>
              <Table.Td className={styles.whole}>
                <LastRuns pipelineId={pipeline.pipelineId} namespace={namespace ?? pipeline.namespace} />
              </Table.Td>
              <Table.Td className={styles.whole}>
                <Time at={millis(pipeline.createdAt)} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Newest({ pipelineId }: { pipelineId: string }) {
  const versions = useVersions(pipelineId, 1);
  if (versions.error) return <Text c="red">{reason(versions.error)}</Text>;
  return <>{versions.data ? (versions.data.pipelineVersions[0]?.displayName ?? "–") : "…"}</>;
}
