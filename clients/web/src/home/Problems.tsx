/** What is amiss with the installation, in short, with the way to the page that says more. */
import { Alert, Group, Text } from "@mantine/core";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { Words } from "../health/Words";
import { useText } from "../text/language";
import styles from "./Home.module.css";

export function Problems({ problems }: { problems: readonly string[] }) {
  const text = useText();
  const namespace = useNamespace();
  const [first, ...others] = problems;
  if (first === undefined) return null;
  return (
    <Alert color="red" title={text("hasProblems")} role="alert">
      <Text size="sm" className={styles.words}>
        <Words of={first} />
      </Text>
      <Group gap="xs" mt={4}>
        {others.length > 0 ? <Text size="sm">+{others.length}</Text> : null}
        <TextLink to="/health" search={namespace} size="sm" c="inherit" underline="always">
          {text("seeHealth")}
        </TextLink>
      </Group>
    </Alert>
  );
}
