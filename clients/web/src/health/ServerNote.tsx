/** Above every page, what its server has become since it was loaded: a newer one, or one that knows the reader no more. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Alert, Button, Group } from "@mantine/core";
import { useState } from "react";

import { Failure } from "../components/facts";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import styles from "./Health.module.css";
import { SELDOM_MS, useOverview } from "./queries";

export function ServerNote() {
  const text = useText();
  const { data, error } = useOverview(SELDOM_MS);
  // The page's files came from the server that it heard of first.
  const [first, setFirst] = useState("");
  const now = data?.serverVersion ?? "";
  if (first === "" && now !== "") setFirst(now);
  const isLoggedOut = error !== null && ConnectError.from(error).code === Code.Unauthenticated;
  return (
    <>
      {isLoggedOut ? (
        <div className={styles.note}>
          <Failure error={error} />
        </div>
      ) : null}
      {first !== "" && now !== first ? (
        <Alert
          color="yellow"
          role="status"
          className={styles.note ?? ""}
          title={fill(text("serverIsNewer"), { version: now })}
        >
          <Group justify="space-between">
            {fill(text("serverIsNewerMeans"), { version: first })}
            <Button size="xs" variant="default" onClick={() => window.location.reload()}>
              {text("loadAgain")}
            </Button>
          </Group>
        </Alert>
      ) : null}
    </>
  );
}
