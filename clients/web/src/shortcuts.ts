/** The keys of the UI: what they mean, and where. Pressed where text is written, or in a dialog, they mean nothing. */
export type Action =
  | "help"
  | "search"
  | "next"
  | "previous"
  | "first"
  | "last"
  | "open"
  | "unfold"
  | "fold"
  | "close";
/** Where a key is pressed: `control` is a button, tab or link, which has keys of its own. */
export type Place = "rows" | "control" | "elsewhere";

interface Shortcut {
  readonly does: Action;
  /** Keys that mean it wherever the focus is. */
  readonly anywhere: readonly string[];
  /** Keys that mean it while the focus is on no button, tab or link. */
  readonly inRows: readonly string[];
  /** Whether every page has it, or the page of a run alone. */
  readonly on: "everyPage" | "runPage";
}

export const SHORTCUTS: readonly Shortcut[] = [
  { does: "help", anywhere: ["?"], inRows: [], on: "everyPage" },
  { does: "search", anywhere: ["/"], inRows: [], on: "everyPage" },
  { does: "next", anywhere: ["j"], inRows: ["ArrowDown"], on: "runPage" },
  { does: "previous", anywhere: ["k"], inRows: ["ArrowUp"], on: "runPage" },
  { does: "first", anywhere: [], inRows: ["Home"], on: "runPage" },
  { does: "last", anywhere: [], inRows: ["End"], on: "runPage" },
  { does: "unfold", anywhere: [], inRows: ["ArrowRight"], on: "runPage" },
  { does: "fold", anywhere: [], inRows: ["ArrowLeft"], on: "runPage" },
  { does: "open", anywhere: [], inRows: ["Enter"], on: "runPage" },
  { does: "close", anywhere: ["Escape"], inRows: [], on: "runPage" },
];

const OTHERS = "input, textarea, select, [role=dialog], [role=menu]";
const CONTROLS = "button, a, [role=tab], [role=button], pre";

export function actionOf(key: string, place: Place): Action | undefined {
  if (place === "elsewhere") return undefined;
  return SHORTCUTS.find(
    ({ anywhere, inRows }) => anywhere.includes(key) || (place === "rows" && inRows.includes(key)),
  )?.does;
}

export function placeOf(target: EventTarget | null): Place {
  if (!(target instanceof HTMLElement)) return "rows";
  if (target.isContentEditable || target.closest(OTHERS)) return "elsewhere";
  return target.closest(CONTROLS) ? "control" : "rows";
}
