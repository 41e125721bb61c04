/** What is around every page: the way back to the runs, language, light and dark. */
import { Anchor, Button, Group, NativeSelect, Text, Title, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { Link, Outlet } from "@tanstack/react-router";

import { LANGUAGES, useLanguage, useText, type Language } from "../text/language";
import styles from "./Frame.module.css";

export function Frame() {
  const text = useText();
  const { language, choose } = useLanguage();
  const { setColorScheme } = useMantineColorScheme();
  const other = useComputedColorScheme("light") === "dark" ? "light" : "dark";
  return (
    <div className={styles.frame}>
      <header className={styles.header}>
        <Group>
          <Title order={1} size="h4">
            Penstock
          </Title>
          <Anchor component={Link} to="/runs">
            {text("runs")}
          </Anchor>
          <Anchor component={Link} to="/recurring-runs">
            {text("recurringRuns")}
          </Anchor>
        </Group>
        <Group>
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
      <main className={styles.main}>
        <Outlet />
      </main>
    </div>
  );
}

export function UnknownPage() {
  const text = useText();
  return <Text>{text("unknownPage")}</Text>;
}
