/** How much of a log a page keeps: its end. */
export const LOG_BYTES = 1024 * 1024;

/** The last of a text, from the beginning of a line where there is one. */
export function tail(text: string, limit = LOG_BYTES): string {
  if (text.length <= limit) return text;
  const kept = text.slice(-limit);
  const line = kept.indexOf("\n");
  return line >= 0 && line < kept.length - 1 ? kept.slice(line + 1) : kept;
}
