/** One page of artifacts as a table. */
import { Table } from "@mantine/core";
import type { Artifact } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { useMemo } from "react";

import { Time } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import styles from "../runs/runs.module.css";
import { useText } from "../text/language";
import { millis } from "../time";
import { useRunNames } from "./queries";
import { artifactsSearch } from "./search";

interface Props {
  readonly artifacts: readonly Artifact[];
  readonly namespace: string;
}

export function ArtifactTable({ artifacts, namespace }: Props) {
  const text = useText();
  const within = useNamespace();
  const ids = useMemo(() => [...new Set(artifacts.map(({ runId }) => runId))].sort(), [artifacts]);
  const names = useRunNames(ids, namespace).data;
  return (
    <Table.ScrollContainer minWidth={720} type="native">
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {(["name", "type", "run", "task", "created", "lineage"] as const).map((key) => (
              <Table.Th key={key}>{text(key)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {artifacts.map(({ name, displayName, port, type, runId, taskPath, createdAt }) => (
            <Table.Tr key={`${runId} ${name}`}>
              <Table.Td>
                <TextLink
                  size="sm"
                  className={styles.name}
                  title={displayName}
                  to="/artifacts"
                  search={(old: Record<string, unknown>) => artifactsSearch({ ...old, artifact: name, from: 0 })}
                >
                  <bdi>{displayName || port}</bdi>
                </TextLink>
              </Table.Td>
              <Table.Td className={styles.pipeline}>{type}</Table.Td>
              <Table.Td>
                <TextLink
                  size="sm"
                  className={styles.name}
                  title={names?.get(runId) ?? ""}
                  to="/runs/$runId"
                  params={{ runId }}
                  search={within}
                >
                  <bdi>{names ? names.get(runId) || runId : "…"}</bdi>
                </TextLink>
              </Table.Td>
              <Table.Td>
                <TextLink
                  size="sm"
                  className={styles.name}
                  title={taskPath}
                  to="/runs/$runId"
                  params={{ runId }}
                  search={{ ...within, task: taskPath }}
                >
                  <bdi>{taskPath}</bdi>
                </TextLink>
              </Table.Td>
              <Table.Td className={styles.time}>
                <Time at={millis(createdAt)} />
              </Table.Td>
              <Table.Td>
                <TextLink
                  size="sm"
                  to="/lineage"
                  search={{ ...within, artifact: name }}
                  aria-label={`${text("lineage")}: ${displayName || port}`}
                >
                  {text("lineage")}
                </TextLink>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
