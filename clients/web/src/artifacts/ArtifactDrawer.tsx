/** The artifact that the address names, beside what leads to it: what is known of it, and a preview. */
import { Drawer } from "@mantine/core";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { useFocusBack } from "../components/useFocusBack";
import { useText } from "../text/language";
import { ArtifactFacts } from "./ArtifactFacts";

interface Props {
  readonly name: string;
  /** Where the page of its bytes begins that is shown. */
  readonly from: number;
  readonly turn: (from: number) => void;
  readonly close: () => void;
}

export function ArtifactDrawer({ name, from, turn, close }: Props) {
  const text = useText();
  useFocusBack();
  const namespace = useNamespace();
  const lineage = (
    <TextLink to="/lineage" search={{ ...namespace, artifact: name }}>
      {text("lineage")}
    </TextLink>
  );
  return (
    // What keeps the page behind from scrolling would need a style that the page's policy refuses.
    <Drawer
      opened
      onClose={close}
      position="right"
      size="56rem"
      lockScroll={false}
      title={text("artifact")}
      // A page has one banner, which is not this.
      attributes={{ header: { role: "none" } }}
      closeButtonProps={{ "aria-label": text("close") }}
    >
      <ArtifactFacts name={name} from={from} turn={turn} ways={lineage} />
    </Drawer>
  );
}
