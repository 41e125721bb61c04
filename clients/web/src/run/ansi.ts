/**
 * What programs write for terminals, as text with colours: escape sequences of colours are read, all others left out,
 * and of a line that was written over and over, as progress bars are, what stood there last is kept.
 */
import Anser from "anser";

export interface Piece {
  readonly text: string;
  /** Such as `ansi-red`, a class of the style sheet. */
  readonly colour: string;
  readonly bold: boolean;
}

// Titles of windows, links: up to the bell or the terminator, on one line.
// eslint-disable-next-line no-control-regex
const OPERATING_SYSTEM_COMMAND = /\u001b\][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?/g;
const WRITTEN_OVER = /^.*\r(?=[^\r\n])/gm;
const ENDS_OF_LINES = /\r+$/gm;
// The sixteen that the style sheet has; of any other colour the text is as plain text is.
const NAMED = /^ansi-(?:bright-)?(?:black|red|green|yellow|blue|magenta|cyan|white)$/;

/** As a terminal would show it in the end, with its colours still in it. */
export const settled = (log: string): string =>
  log.includes("\r") ? log.replace(WRITTEN_OVER, "").replace(ENDS_OF_LINES, "") : log;

export function pieces(log: string): Piece[] {
  if (!log.includes("\u001b")) return log === "" ? [] : [{ text: log, colour: "", bold: false }];
  const read = Anser.ansiToJson(log.replace(OPERATING_SYSTEM_COMMAND, ""), { use_classes: true, remove_empty: true });
  return read.map(({ content, fg, decorations }) => ({
    text: content,
    colour: fg && NAMED.test(fg) ? fg : "",
    bold: decorations.includes("bold"),
  }));
}

/** Only the lines with the words in them, in upper or lower case, and how many these are. */
export function linesWith(log: string, words: string): { readonly text: string; readonly count: number } {
  if (words === "") return { text: log, count: 0 };
  const wanted = words.toLowerCase();
  const found = log.split("\n").filter((line) => plain(line).toLowerCase().includes(wanted));
  return { text: found.join("\n"), count: found.length };
}

const plain = (line: string): string => (line.includes("\u001b") ? Anser.ansiToText(line) : line);
