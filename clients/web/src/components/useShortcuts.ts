/** Hears the keys of the UI. A page is asked before the frame around it: what it has done is not done again. */
import { useEffectEvent, useLayoutEffect } from "react";

import { actionOf, placeOf, type Action } from "../shortcuts";

export function useShortcuts(does: Readonly<Partial<Record<Action, () => void>>>): void {
  const pressed = useEffectEvent((event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = actionOf(event.key, placeOf(event.target));
    const act = action && does[action];
    if (!act) return;
    event.preventDefault();
    act();
  });
  useLayoutEffect(() => {
    const listener = (event: KeyboardEvent) => pressed(event);
    document.addEventListener("keydown", listener);
    return () => document.removeEventListener("keydown", listener);
  }, []);
}
