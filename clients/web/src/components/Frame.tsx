/** What is around every page: the ways to the others, language, light and dark. */
import {
  Button,
  Group,
  NativeSelect,
  Text,
  Title,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { Outlet } from "@tanstack/react-router";

import { ProblemsMark } from "../health/ProblemsMark";
import { ServerNote } from "../health/ServerNote";
import { LANGUAGES, useLanguage, useText, type Language } from "../text/language";
import styles from "./Frame.module.css";
import { TextLink } from "./links";
import { useNamespace } from "./namespace";
import { NamespaceField } from "./NamespaceField";
import { Shortcuts } from "./Shortcuts";

const PAGES = [
  ["/runs", "runs"],
  ["/experiments", "experiments"],
  ["/pipelines", "pipelines"],
  ["/recurring-runs", "recurringRuns"],
  ["/artifacts", "artifactList"],
  ["/access", "access"],
] as const;

export function Frame() {
  const text = useText();
  const namespace = useNamespace();
  const { language, choose } = useLanguage();
  const { setColorScheme } = useMantineColorScheme();
  const other = useComputedColorScheme("light") === "dark" ? "light" : "dark";
  return (
    <div className={styles.frame}>
      <header className={styles.header}>
        <Title order={1} size="h4">
          <TextLink to="/" search={namespace} inherit className={styles.home}>
            Penstock
          </TextLink>
        </Title>
        <nav className={styles.pages} aria-label={text("pages")}>
          {PAGES.map(([to, key]) => (
            <TextLink key={to} to={to} search={namespace} className={styles.page} activeOptions={{ includeSearch: false }}>
              {text(key)}
            </TextLink>
          ))}
          <TextLink to="/health" search={namespace} className={styles.page} activeOptions={{ includeSearch: false }}>
            {text("health")}
            <ProblemsMark />
          </TextLink>
        </nav>
        <Group gap="xs" wrap="nowrap">
          <NamespaceField />
          <Shortcuts />
          <NativeSelect
            size="xs"
            aria-label="Language"
            value={language}
            onChange={(event) => choose(event.currentTarget.value as Language)}
            data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
          />
          <Button size="xs" variant="default" onClick={() => setColorScheme(other)}>
            {text(other)}
          </Button>
        </Group>
      </header>
      <ServerNote />
      {/* Who has no pointer scrolls it. */}
      <main className={styles.main} tabIndex={0}>
        <Outlet />
      </main>
    </div>
  );
}

export function UnknownPage() {
  const text = useText();
  return <Text>{text("unknownPage")}</Text>;
}
