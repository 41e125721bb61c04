/** What the keys of a run's page mean. Pressed where text is written, or in a dialog, they are none of the page's. */
export type Move = "next" | "previous" | "first" | "last" | "open" | "unfold" | "fold" | "close" | "search";
/** Where a key is pressed: `control` is a button, tab or link, which has keys of its own. */
export type Place = "rows" | "control" | "elsewhere";

const ANYWHERE: Readonly<Record<string, Move>> = { j: "next", k: "previous", "/": "search", Escape: "close" };
const IN_ROWS: Readonly<Record<string, Move>> = {
  ArrowDown: "next",
  ArrowUp: "previous",
  ArrowRight: "unfold",
  ArrowLeft: "fold",
  Home: "first",
  End: "last",
  Enter: "open",
};

const OTHERS = "input, textarea, select, [role=dialog], [role=menu]";

export function moveOf(key: string, place: Place): Move | undefined {
  if (place === "elsewhere") return undefined;
  return (Object.hasOwn(ANYWHERE, key) ? ANYWHERE[key] : undefined)
    ?? (place === "rows" && Object.hasOwn(IN_ROWS, key) ? IN_ROWS[key] : undefined);
}

export function placeOf(target: EventTarget | null): Place {
  if (!(target instanceof HTMLElement)) return "rows";
  if (target.isContentEditable || target.closest(OTHERS)) return "elsewhere";
  return target.closest("button, a, [role=tab], [role=button], pre") ? "control" : "rows";
}
