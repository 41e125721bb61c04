/** Chooses between the namespace of the address and all; nothing where the address has none, which is all already. */
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { All } from "./All";
import type { Part } from "./part";

export function Place({ search, change }: Omit<Part, "caller">) {
  const text = useText();
  const { namespace, all = false } = search;
  if (!namespace) return null;
  const part = fill(text("thisNamespace"), { namespace });
  return <All label={text("whereFrom")} whole={text("allNamespaces")} {...{ part, all, change }} />;
}
