/** Who has which role where: seen, given and taken away by administrators. */
import { Button, Group, Stack, Text } from "@mantine/core";
import type { RoleBinding } from "@penstock/client/gen/penstock_api/v1/access_pb.js";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { Confirm } from "../components/Confirm";
import { Loading } from "../components/facts";
import { Pager } from "../components/Pager";
import { penstock } from "../server";
import { useText } from "../text/language";
import styles from "./Access.module.css";
import { GiveRole } from "./GiveRole";
import type { Part } from "./part";
import { Place } from "./Place";
import { useChanged, useRoles } from "./queries";
import { Refusal } from "./Refusal";
import { RoleTable } from "./RoleTable";
import { holder, roleWords } from "./words";

export function Roles({ search, change }: Part) {
  const text = useText();
  const { data, error, isPending } = useRoles(search);
  const changed = useChanged();
  const [giving, give] = useState(false);
  const [asked, ask] = useState<RoleBinding>();
  const taking = useMutation({
    mutationFn: ({ roleBindingId }: RoleBinding) => penstock.access.deleteRoleBinding({ roleBindingId }),
    onSettled: changed,
  });
  return (
    <Stack>
      <Group>
        <Place {...{ search, change }} />
        {data ? <Button ms="auto" onClick={() => give(true)}>{text("newRole")}</Button> : null}
      </Group>
      {giving ? <GiveRole namespace={search.all ? "" : (search.namespace ?? "")} close={() => give(false)} /> : null}
      <Refusal error={error} refused="mayNotSeeRoles" />
      <Refusal error={taking.error} refused="mayNotDoThis" />
      {isPending ? <Loading /> : null}
      {data?.roleBindings.length === 0 ? <Text c="dimmed">{text("noRoles")}</Text> : null}
      {data && data.roleBindings.length > 0 ? (
        <RoleTable bindings={data.roleBindings} pending={taking.isPending} take={ask} />
      ) : null}
      <Pager page={search.page} next={data?.nextPageToken ?? ""} go={(page) => change({ page })} />
      <Confirm
        opened={asked !== undefined}
        title={text("takeRoleAsks")}
        action={text("takeRole")}
        close={() => ask(undefined)}
        confirm={() => {
          if (asked) taking.mutate(asked);
          ask(undefined);
        }}
      >
        <Text fw={600} className={styles.words}>
          <bdi>{asked ? holder(text, asked) : null}</bdi>
        </Text>
        <Text size="sm" className={styles.words}>
          {asked ? roleWords(text, asked) : null}. {text("takeRoleEnds")}
        </Text>
      </Confirm>
    </Stack>
  );
}
