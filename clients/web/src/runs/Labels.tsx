/** The labels of a run. Each leads to all runs that have it. */
import { Badge, Group } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { useNamespace } from "../components/namespace";
import styles from "./runs.module.css";

export function Labels({ labels }: { labels: Readonly<Record<string, string>> }) {
  const namespace = useNamespace();
  const words = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort();
  if (words.length === 0) return null;
  return (
    <Group gap={4}>
      {words.map((word) => (
        <Badge
          key={word}
          renderRoot={(props) => <Link {...props} to="/runs" search={{ label: [word], ...namespace }} />}
          variant="default"
          size="sm"
          radius="sm"
          title={word}
          className={styles.label}
        >
          <bdi>{word}</bdi>
        </Badge>
      ))}
    </Group>
  );
}
