/** The API tokens of the reader, or of everybody: made, seen and revoked. */
import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { Token } from "@penstock/client/gen/penstock_api/v1/access_pb.js";
import { useState } from "react";

import { Confirm } from "../components/Confirm";
import { Loading } from "../components/facts";
import { Pager } from "../components/Pager";
import { penstock } from "../server";
import { useText } from "../text/language";
import { All } from "./All";
import styles from "./Access.module.css";
import { CreateToken } from "./CreateToken";
import type { Part } from "./part";
import { useChanged, useTokens } from "./queries";
import { Refusal } from "./Refusal";
import { TokenTable } from "./TokenTable";

export function Tokens({ search, change, caller }: Part) {
  const text = useText();
  const { data, error, isPending } = useTokens(search);
  const changed = useChanged();
  const [creating, create] = useState(false);
  const [asked, ask] = useState<Token>();
  const revoking = useMutation({
    mutationFn: ({ tokenId }: Token) => penstock.access.revokeToken({ tokenId }),
    onSettled: changed,
  });
  const all = search.all ?? false;
  if (!caller.user) return <Text c="dimmed">{text("tokenNobodys")}</Text>;
  return (
    <Stack>
      <Group justify="space-between">
        <All label={text("whose")} part={text("mine")} whole={text("everybodys")} {...{ all, change }} />
        <Button onClick={() => create(true)}>{text("newToken")}</Button>
      </Group>
      {creating ? <CreateToken caller={caller} close={() => create(false)} /> : null}
      <Refusal error={error} refused="mayNotSeeTokens" />
      <Refusal error={revoking.error} refused="mayNotDoThis" />
      {isPending ? <Loading /> : null}
      {data?.tokens.length === 0 ? <Text c="dimmed">{text("noTokens")}</Text> : null}
      {data && data.tokens.length > 0 ? (
        <TokenTable tokens={data.tokens} pending={revoking.isPending} withUsers={all} revoke={ask} />
      ) : null}
      <Pager page={search.page} next={data?.nextPageToken ?? ""} go={(page) => change({ page })} />
      <Confirm
        opened={asked !== undefined}
        title={text("revokeToken")}
        action={text("revoke")}
        close={() => ask(undefined)}
        confirm={() => {
          if (asked) revoking.mutate(asked);
          ask(undefined);
        }}
      >
        <Text fw={600} className={styles.words}>
          <bdi>{asked?.name}</bdi>
        </Text>
        <Text size="sm">{text("revokeEnds")}</Text>
      </Confirm>
    </Stack>
  );
}
