/** Gives a user or a group a role in a namespace. */
import { NativeSelect, TextInput } from "@mantine/core";
import { useState } from "react";

import { isNamespace } from "../components/recentNamespaces";
import { useOnce } from "../components/useOnce";
import { penstock } from "../server";
import { useText } from "../text/language";
import { FormDialog } from "./FormDialog";
import { useChanged } from "./queries";
import { ROLES, type Role } from "./words";

interface Props {
  /** The one that is looked at, which the form begins with. */
  readonly namespace: string;
  readonly close: () => void;
}

export function GiveRole({ namespace: looked, close }: Props) {
  const text = useText();
  const changed = useChanged();
  const [kind, setKind] = useState<"user" | "group">("user");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [namespace, setNamespace] = useState(looked);
  const [tried, setTried] = useState(false);
  const giving = useOnce({
    mutationFn: () => penstock.access.createRoleBinding({ roleBinding: { role, namespace, [kind]: name } }),
    onSuccess: () => {
      changed();
      close();
    },
  });
  const holdsSomewhere = namespace === "*" || isNamespace(namespace);
  const submit = () => {
    setTried(true);
    if (name.trim() && holdsSomewhere) giving.once();
  };
  return (
    <FormDialog
      title={text("newRole")}
      action={text("giveRole")}
      error={giving.error}
      pending={giving.isPending}
      {...{ close, submit }}
    >
      <NativeSelect
        label={text("who")}
        value={kind}
        onChange={(event) => setKind(event.currentTarget.value === "group" ? "group" : "user")}
        data={[
          { value: "user", label: text("user") },
          { value: "group", label: text("userGroup") },
        ]}
      />
      <TextInput
        data-autofocus
        required
        label={text("name")}
        value={name}
        maxLength={255}
        error={tried && !name.trim() ? text("needed") : undefined}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <NativeSelect
        label={text("role")}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
        data={ROLES.map((value) => ({ value, label: text(value) }))}
      />
      <TextInput
        required
        label={text("namespace")}
        description={text("roleNamespaceHint")}
        value={namespace}
        maxLength={63}
        error={tried && !holdsSomewhere ? text("namespaceForm") : undefined}
        onChange={(event) => setNamespace(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
