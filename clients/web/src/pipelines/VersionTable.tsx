/** One page of a pipeline's versions as a table; the chosen one is marked. */
import { Button, Table, Text } from "@mantine/core";
import type { PipelineVersion } from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";

import { Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useMay } from "../components/may";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Pipelines.module.css";
import { linkable } from "./words";

interface Props {
  readonly versions: readonly PipelineVersion[];
  readonly chosen: string;
  readonly remove: (version: PipelineVersion) => void;
}

export function VersionTable({ versions, chosen, remove }: Props) {
  const text = useText();
  const may = useMay();
  return (
    <Table.ScrollContainer minWidth={560} type="native">
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{text("name")}</Table.Th>
            <Table.Th>{text("created")}</Table.Th>
            <Table.Th>{text("codeSource")}</Table.Th>
            <Table.Th>{text("actions")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map((version) => (
            <Table.Tr key={version.pipelineVersionId} data-selected={version.pipelineVersionId === chosen || undefined}>
              <Table.Td className={styles.name}>
                <TextLink
                  size="sm"
                  from="/pipelines/$pipelineId"
                  to="/pipelines/$pipelineId"
                  search={(old) => ({ ...old, version: version.pipelineVersionId })}
                  aria-current={version.pipelineVersionId === chosen ? "true" : undefined}
                >
                  {version.displayName}
                </TextLink>
              </Table.Td>
              <Table.Td className={styles.whole}>
                <Time at={millis(version.createdAt)} />
              </Table.Td>
              <Table.Td className={styles.name}>
                <Source address={version.codeSourceUrl} />
              </Table.Td>
              <Table.Td>
                {may("pipelines delete") ? (
                  <Button
                    size="compact-xs"
                    variant="default"
                    aria-label={`${text("deleteVersion")}: ${version.displayName}`}
                    onClick={() => remove(version)}
                  >
                    {text("delete")}
                  </Button>
                ) : null}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Source({ address }: { address: string }) {
  const link = linkable(address);
  if (link === undefined) return <>{address || "–"}</>;
  return (
    <Text component="a" size="sm" c="var(--mantine-color-anchor)" href={link} target="_blank" rel="noopener noreferrer">
      {address}
    </Text>
  );
}
