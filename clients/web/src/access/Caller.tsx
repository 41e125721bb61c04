/** Whom the server takes the reader for, and by what; where it asks nobody, what that means and how to change it. */
import { Alert, Code, Text } from "@mantine/core";
import type { WhoAmIResponse } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import { Section } from "../components/Section";
import { useText } from "../text/language";
import styles from "./Access.module.css";
import { sourceWord } from "./words";

export function Caller({ caller }: { readonly caller: WhoAmIResponse }) {
  const text = useText();
  if (caller.source === "none") {
    return (
      <Alert color="blue" title={text("nobodyAsked")}>
        <Text size="sm">{text("everybodyMay")}</Text>
        <Code block my="xs">
          penstock-server --auth tokens
        </Code>
        <Text size="sm">
          {text("readAuthentication")} <Code>docs/admin/authentication.md</Code>
        </Text>
      </Alert>
    );
  }
  return (
    <Section title={text("whoYouAre")}>
      <dl className={styles.facts}>
        <dt>{text("user")}</dt>
        <dd>
          <bdi>{caller.user}</bdi>
        </dd>
        {caller.groups.length > 0 ? (
          <>
            <dt>{text("groups")}</dt>
            <dd>{caller.groups.join(", ")}</dd>
          </>
        ) : null}
        <dt>{text("knownBy")}</dt>
        <dd>
          {sourceWord(text, caller.source)} {caller.tokenId}
        </dd>
      </dl>
    </Section>
  );
}
