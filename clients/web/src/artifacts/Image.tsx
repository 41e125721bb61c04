/** An image of a type that its bytes have shown, unless it is too large. */
import { Text } from "@mantine/core";

import { Failure, Loading } from "../components/facts";
import { useText } from "../text/language";
import styles from "./Artifacts.module.css";
import { dataUrl, MOST_OF_IMAGE } from "./bytes";
import { usePart } from "./queries";

export function Image({ uri, type, total }: { uri: string; type: string; total: number | undefined }) {
  const text = useText();
  const known = total === undefined || total <= MOST_OF_IMAGE;
  // A byte more than is shown tells that there are more.
  const part = usePart(known ? uri : "", 0, MOST_OF_IMAGE + 1);
  if (!known || (part.data && part.data.bytes.length > MOST_OF_IMAGE)) return <Text>{text("tooLarge")}</Text>;
  if (part.error) return <Failure error={part.error} />;
  if (!part.data) return <Loading />;
  return <img className={styles.image} src={dataUrl(type, part.data.bytes)} alt={text("preview")} />;
}
