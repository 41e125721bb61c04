/** Lines of the audit log. The name of the call, the caller's address and the request's id are under the pointer. */
import { Badge, Table, Text } from "@mantine/core";
import type { AuditEvent } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import { Time } from "../components/facts";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Access.module.css";
import { deedWords, resultWord, sourceWord } from "./words";

const COLOURS: Readonly<Record<string, string>> = { OK: "green", UNKNOWN: "gray" };

export function AuditTable({ events }: { readonly events: readonly AuditEvent[] }) {
  const text = useText();
  return (
    <Table.ScrollContainer minWidth={900} type="native" tabIndex={0} role="region" aria-label={text("audit")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {(["at", "who", "deed", "object", "namespace", "result"] as const).map((key) => (
              <Table.Th key={key}>{text(key)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {events.map((event) => (
            <Line key={event.auditEventId} event={event} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Line({ event }: { readonly event: AuditEvent }) {
  const text = useText();
  const { user, source, address, method, requestId, namespace, result } = event;
  const from = address ? fill(text("fromAddress"), { address }) : "";
  return (
    <Table.Tr>
      <Table.Td className={styles.time}>
        <Time at={millis(event.at)} />
      </Table.Td>
      <Table.Td className={styles.name} title={from}>
        <bdi>{user || (source === "none" ? text("somebody") : sourceWord(text, source))}</bdi>
      </Table.Td>
      <Table.Td title={`${method} ${requestId}`}>{deedWords(text, event)}</Table.Td>
      <Table.Td className={styles.name} title={event.objectId}>
        <bdi>{event.objectName || event.objectId}</bdi>
      </Table.Td>
      <Table.Td className={styles.name}>{namespace === "*" ? text("everyNamespace") : namespace}</Table.Td>
      <Table.Td className={styles.name}>
        <Badge variant="light" miw="max-content" color={COLOURS[result] ?? "orange"}>
          {resultWord(text, result)}
        </Badge>
        {event.reason ? (
          <Text size="sm" c="dimmed">
            {event.reason}
          </Text>
        ) : null}
      </Table.Td>
    </Table.Tr>
  );
}
