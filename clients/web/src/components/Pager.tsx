/** The pages of a list: back to the first, on to the next. Nothing where there is one alone. */
import { Button, Group } from "@mantine/core";

import { useText } from "../text/language";

interface Props {
  /** Token of the page that is shown; the first has none. */
  readonly page: string | undefined;
  /** Token of the next page, empty on the last. */
  readonly next: string;
  readonly go: (page: string) => void;
}

export function Pager({ page, next, go }: Props) {
  const text = useText();
  if (!page && next === "") return null;
  return (
    <Group>
      <Button variant="default" disabled={!page} onClick={() => go("")}>
        {text("firstPage")}
      </Button>
      <Button variant="default" disabled={next === ""} onClick={() => go(next)}>
        {text("nextPage")}
      </Button>
    </Group>
  );
}
