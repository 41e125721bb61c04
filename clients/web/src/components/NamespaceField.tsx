/**
 * The namespace that is looked at, on a server that keeps several apart, and who the server takes the reader for.
 *
 * Nobody is told which namespaces there are, so the field is typed into; those that were looked at are offered. An
 * address without one goes to the last that was looked at.
 */
import { Autocomplete, Group, Text } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { useText } from "../text/language";
import { useCaller } from "./caller";
import styles from "./Frame.module.css";
import { useNamespace } from "./namespace";
import { isNamespace, withLatest } from "./recentNamespaces";

export function NamespaceField() {
  const { data } = useCaller();
  return data?.multiUser ? <Field user={data.user} /> : null;
}

function Field({ user }: { readonly user: string }) {
  const text = useText();
  const navigate = useNavigate();
  const { namespace = "" } = useNamespace();
  const [recent, keep] = useLocalStorage<string[]>({ key: "penstock-namespaces", defaultValue: [] });
  const [typed, type] = useState(namespace);
  const [seen, see] = useState(namespace);
  const latest = recent[0] ?? "";
  if (namespace !== seen) {
    see(namespace);
    type(namespace);
  }
  useEffect(() => {
    if (isNamespace(namespace)) keep((old) => withLatest(old, namespace));
    else if (namespace === "" && isNamespace(latest)) {
      void navigate({ to: ".", search: (old) => ({ ...old, namespace: latest }), replace: true });
    }
  }, [namespace, latest, keep, navigate]);
  // What is of another namespace is not there.
  const go = (to: string) => {
    if (isNamespace(to) && to !== namespace) void navigate({ to: "/", search: { namespace: to } });
  };
  return (
    <Group
      component="form"
      gap="xs"
      wrap="nowrap"
      onSubmit={(event) => {
        event.preventDefault();
        go(typed);
      }}
    >
      <Autocomplete
        size="xs"
        className={styles.namespace ?? ""}
        aria-label={text("namespace")}
        placeholder={text("namespace")}
        data={recent.filter(isNamespace)}
        value={typed}
        error={typed !== "" && !isNamespace(typed)}
        maxLength={63}
        onChange={type}
        onOptionSubmit={go}
      />
      {user ? (
        <Text size="xs" c="dimmed" className={styles.user ?? ""} title={user}>
          <bdi>{user}</bdi>
        </Text>
      ) : null}
    </Group>
  );
}
