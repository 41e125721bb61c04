/**
 * Makes an API token of the reader and shows its secret once.
 *
 * The secret is in this dialog alone: what a mutation returns would be kept with the answers, so it returns nothing.
 */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NativeSelect, TagsInput, TextInput } from "@mantine/core";
import type { WhoAmIResponse } from "@penstock/client/gen/penstock_api/v1/access_pb.js";
import { useState } from "react";

import { isNamespace } from "../components/recentNamespaces";
import { useOnce } from "../components/useOnce";
import { serverNow } from "../live/clock";
import { penstock } from "../server";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { FormDialog } from "./FormDialog";
import { useChanged } from "./queries";
import { Secret } from "./Secret";
import { ROLES, type Role } from "./words";

const DAY_MS = 86_400_000;
const LIFETIMES = [1, 7, 30, 90, 365] as const;

export function CreateToken({ caller, close }: { readonly caller: WhoAmIResponse; readonly close: () => void }) {
  const text = useText();
  const changed = useChanged();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [namespaces, setNamespaces] = useState<string[]>([]);
  const [days, setDays] = useState(30);
  const [tried, setTried] = useState(false);
  const [secret, show] = useState("");
  const creation = useOnce({
    mutationFn: async () => {
      const expiresAt = timestampFromMs(serverNow() + days * DAY_MS);
      show((await penstock.access.createToken({ name, role, namespaces, expiresAt })).secret);
    },
    onSuccess: changed,
  });
  if (secret) return <Secret secret={secret} close={close} />;
  const submit = () => {
    setTried(true);
    if (name.trim() && namespaces.every(isNamespace)) creation.once();
  };
  const lasting = (count: number): string =>
    count === 1 ? text("oneDay") : count === 365 ? text("oneYear") : fill(text("daysLong"), { count });
  return (
    <FormDialog
      title={text("newToken")}
      action={text("create")}
      error={creation.error}
      pending={creation.isPending}
      {...{ close, submit }}
    >
      <TextInput
        data-autofocus
        required
        label={text("name")}
        value={name}
        maxLength={128}
        error={tried && !name.trim() ? text("nameBlank") : undefined}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <NativeSelect
        label={text("role")}
        description={text("tokenRoleHint")}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
        data={ROLES.map((value) => ({ value, label: text(value) }))}
      />
      {caller.multiUser ? (
        <TagsInput
          label={text("namespaces")}
          description={text("namespacesHint")}
          value={namespaces}
          error={namespaces.every(isNamespace) ? undefined : text("namespaceForm")}
          acceptValueOnBlur
          maxTags={100}
          onChange={setNamespaces}
        />
      ) : null}
      <NativeSelect
        label={text("lifetime")}
        value={String(days)}
        onChange={(event) => setDays(Number(event.currentTarget.value))}
        data={LIFETIMES.map((count) => ({ value: String(count), label: lasting(count) }))}
      />
    </FormDialog>
  );
}
