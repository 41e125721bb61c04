/** Pools of slots, limits and shares, where there are any: what is taken, and what waits. */
import { Progress, Table, Text } from "@mantine/core";
import type { Pool } from "@penstock/client/gen/penstock_api/v1/pool_pb.js";

import { Section } from "../components/Section";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Health.module.css";
import { usePools } from "./queries";

const COLUMNS = ["pool", "poolOf", "poolTaken", "poolWaiting", "poolWeight"] as const;

export function Pools() {
  const text = useText();
  // Who may not see them is told of nothing: the rest of the page is theirs.
  const { data } = usePools();
  if (!data?.pools.length) return null;
  return (
    <Section title={text("pools")}>
      <Table.ScrollContainer minWidth={480} type="native">
        <Table highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              {COLUMNS.map((key) => (
                <Table.Th key={key} scope="col">
                  {text(key)}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.pools.map((pool) => (
              <Row key={`${pool.namespace}/${pool.name}`} pool={pool} />
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

function Row({ pool }: { pool: Pool }) {
  const text = useText();
  const { name, namespace, slots, taken, waiting, weight } = pool;
  return (
    <Table.Tr>
      <Table.Th scope="row" className={styles.name} title={name}>
        {name}
      </Table.Th>
      <Table.Td>{namespace || text("poolOfAll")}</Table.Td>
      <Table.Td>
        {slots === undefined ? (
          text("poolNoLimit")
        ) : (
          <div className={styles.busy}>
            {fill(text("busyOfPlaces"), { busy: taken, places: slots })}
            <Progress.Root size={6} aria-hidden>
              <Progress.Section
                withAria={false}
                value={slots > 0 ? (100 * taken) / slots : 0}
                color={waiting > 0 ? "orange" : "blue"}
              />
            </Progress.Root>
          </div>
        )}
      </Table.Td>
      <Table.Td>
        <Text fw={waiting > 0 ? 600 : 400}>{waiting}</Text>
      </Table.Td>
      <Table.Td>{weight}</Table.Td>
    </Table.Tr>
  );
}
