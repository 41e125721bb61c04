/** The server's words, in which what stands between backticks is to be typed. */
import { Code } from "@mantine/core";

export function Words({ of }: { of: string }) {
  // Without a second backtick, one is a character like any other.
  const parts = of.split(/`([^`]+)`/);
  return <>{parts.map((part, index) => (index % 2 === 1 ? <Code key={index}>{part}</Code> : part))}</>;
}
