/** Text that a user or a task wrote as Markdown. HTML in it is text, nothing in it is loaded, and a link opens apart. */
import { Anchor, Typography } from "@mantine/core";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

import styles from "./Markdown.module.css";

// Its headings stand below those of the page.
const PARTS: Components = {
  h1: "h4",
  h2: "h5",
  h3: "h6",
  h4: "h6",
  h5: "h6",
  a: ({ href, children }) => <Outwards to={href}>{children}</Outwards>,
  img: ({ src, alt }) => <Outwards to={typeof src === "string" ? src : undefined}>{alt || src}</Outwards>,
};

export function Markdown({ source }: { source: string }) {
  return (
    <Typography className={styles.markdown}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={PARTS}>
        {source}
      </ReactMarkdown>
    </Typography>
  );
}

function Outwards({ to, children }: { to: string | undefined; children?: React.ReactNode }) {
  return to ? (
    <Anchor href={to} target="_blank" rel="noreferrer noopener" inherit>
      {children}
    </Anchor>
  ) : (
    <span>{children}</span>
  );
}
