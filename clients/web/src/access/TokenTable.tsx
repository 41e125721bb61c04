/** API tokens by row. What has ended cannot be revoked any more. */
import { Button, Table } from "@mantine/core";
import type { Token } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import { Time } from "../components/facts";
import { serverNow } from "../live/clock";
import { useText } from "../text/language";
import { millis } from "../time";
import styles from "./Access.module.css";
import { roleWord } from "./words";

interface Props {
  readonly tokens: readonly Token[];
  readonly withUsers: boolean;
  readonly pending: boolean;
  readonly revoke: (token: Token) => void;
}

export function TokenTable({ tokens, withUsers, pending, revoke }: Props) {
  const text = useText();
  const heads = [
    "name",
    ...(withUsers ? (["user"] as const) : []),
    ...(["role", "namespaces", "created", "expires", "lastUsed", "revoked"] as const),
  ] as const;
  return (
    <Table.ScrollContainer minWidth={900} type="native" tabIndex={0} role="region" aria-label={text("tokens")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {heads.map((key) => (
              <Table.Th key={key}>{text(key)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {tokens.map((token) => (
            <Table.Tr key={token.tokenId} data-token={token.tokenId}>
              <Table.Td className={styles.name}>
                <bdi>{token.name}</bdi>
              </Table.Td>
              {withUsers ? (
                <Table.Td className={styles.name}>
                  <bdi>{token.user}</bdi>
                </Table.Td>
              ) : null}
              <Table.Td>{roleWord(text, token.role)}</Table.Td>
              <Table.Td className={styles.name}>{token.namespaces.join(", ") || text("everyNamespace")}</Table.Td>
              <Table.Td className={styles.time}>
                <Time at={millis(token.createdAt)} />
              </Table.Td>
              <Table.Td className={styles.time}>
                <Time at={millis(token.expiresAt)} />
              </Table.Td>
              <Table.Td className={styles.time}>
                {token.lastUsedAt ? <Time at={millis(token.lastUsedAt)} /> : text("never")}
              </Table.Td>
              <Table.Td className={styles.time}>
                <End {...{ token, pending, revoke }} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function End({ token, pending, revoke }: Pick<Props, "pending" | "revoke"> & { readonly token: Token }) {
  const text = useText();
  if (token.revokedAt) return <Time at={millis(token.revokedAt)} />;
  if ((millis(token.expiresAt) ?? 0) <= serverNow()) return text("expired");
  return (
    <Button size="xs" variant="light" color="red" disabled={pending} onClick={() => revoke(token)}>
      {text("revoke")}
    </Button>
  );
}
