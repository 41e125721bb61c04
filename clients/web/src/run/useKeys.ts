/** Keys that work wherever the focus is on the page of a run. */
import { useEffectEvent, useLayoutEffect } from "react";

import { moveOf, placeOf, type Move } from "./keys";

export function useKeys(does: Readonly<Partial<Record<Move, () => void>>>): void {
  const pressed = useEffectEvent((event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = moveOf(event.key, placeOf(event.target));
    const action = move && does[move];
    if (!action) return;
    event.preventDefault();
    action();
  });
  useLayoutEffect(() => {
    const listener = (event: KeyboardEvent) => pressed(event);
    document.addEventListener("keydown", listener);
    return () => document.removeEventListener("keydown", listener);
  }, []);
}
