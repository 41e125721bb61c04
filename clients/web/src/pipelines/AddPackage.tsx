/** A dialog that takes a compiled pipeline, from a file or from an address, as a new pipeline or as a new version. */
import { Button, FileInput, Group, Modal, SegmentedControl, Stack, Textarea, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { useFocusBack } from "../components/useFocusBack";
import { useOnce } from "../components/useOnce";
import { useText } from "../text/language";
import { Refused } from "./Refused";
import type { Package } from "./upload";

interface Props {
  readonly title: string;
  readonly close: () => void;
  /** Rejects with what the server says against it. */
  readonly add: (added: Package) => Promise<void>;
}

export function AddPackage({ title, close, add }: Props) {
  const text = useText();
  useFocusBack();
  const [kind, setKind] = useState<"file" | "url">("file");
  const [file, setFile] = useState<File | null>(null);
  const [address, setAddress] = useState("");
  const [asked, setAsked] = useState(false);
  const adding = useOnce({ mutationFn: add });
  const source = kind === "file" ? file : address.trim();
  const missing = asked && !source ? text("required") : null;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setAsked(true);
    if (!source) return;
    const fields = new FormData(event.currentTarget);
    const field = (name: string) => String(fields.get(name) ?? "").trim();
    adding.once({ source, name: field("name"), description: field("description"), codeSource: field("code") });
  };
  return (
    // Locking the scroll bar would need a style in the page, which the page's policy does not let in.
    <Modal opened onClose={close} title={title} lockScroll={false} closeButtonProps={{ "aria-label": text("close") }}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <SegmentedControl
            aria-label={text("packageFrom")}
            value={kind}
            onChange={(chosen) => setKind(chosen === "url" ? "url" : "file")}
            data={[
              { value: "file", label: text("fromFile") },
              { value: "url", label: text("fromUrl") },
            ]}
          />
          {kind === "file" ? (
            <FileInput
              label={text("fromFile")}
              description={text("fileKinds")}
              placeholder={text("chooseFile")}
              accept=".yaml,.yml,.json,.zip,.gz,.tgz"
              value={file}
              onChange={setFile}
              error={missing}
              withAsterisk
              data-autofocus
            />
          ) : (
            <TextInput
              label={text("packageUrl")}
              description={text("packageUrlHint")}
              type="url"
              value={address}
              onChange={(event) => setAddress(event.currentTarget.value)}
              error={missing}
              withAsterisk
            />
          )}
          <TextInput name="name" label={text("name")} description={text("nameFallback")} />
          <Textarea name="description" label={text("description")} rows={3} />
          <TextInput name="code" type="url" label={text("codeSource")} description={text("codeSourceHint")} />
          <Refused error={adding.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {text("cancel")}
            </Button>
            <Button type="submit" loading={adding.isPending}>
              {text("add")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
