/** Roles by row. Those of the server's role file have no button: only the file changes them. */
import { Badge, Button, Table } from "@mantine/core";
import type { RoleBinding } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import { Time } from "../components/facts";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Access.module.css";
import { holder, roleWord } from "./words";

interface Props {
  readonly bindings: readonly RoleBinding[];
  readonly pending: boolean;
  readonly take: (binding: RoleBinding) => void;
}

export function RoleTable({ bindings, pending, take }: Props) {
  const text = useText();
  return (
    <Table.ScrollContainer minWidth={700} type="native" tabIndex={0} role="region" aria-label={text("roles")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {(["who", "role", "namespace", "since", "actions"] as const).map((key) => (
              <Table.Th key={key}>{text(key)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {bindings.map((one) => (
            <Table.Tr key={one.roleBindingId || `${one.role} ${one.namespace} ${one.user} ${one.group}`}>
              <Table.Td className={styles.name}>
                <bdi>{holder(text, one)}</bdi>
              </Table.Td>
              <Table.Td>{roleWord(text, one.role)}</Table.Td>
              <Table.Td className={styles.name}>
                {one.namespace === "*" ? text("everyNamespace") : one.namespace}
              </Table.Td>
              <Table.Td className={styles.time}>
                <Time at={millis(one.createdAt)} />
              </Table.Td>
              <Table.Td>
                {one.fromFile ? (
                  <Badge variant="default" miw="max-content" title={text("inRoleFileMeans")}>
                    {text("inRoleFile")}
                  </Badge>
                ) : (
                  <Button size="xs" variant="light" color="red" disabled={pending} onClick={() => take(one)}>
                    {text("takeRole")}
                  </Button>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
