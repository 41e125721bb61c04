/** A dialog that is there only while it is open gives the focus back to what had it before, which closing it otherwise
 * would not: who has no pointer goes on where they were. */
import { useEffect } from "react";

export function useFocusBack(): void {
  useEffect(() => {
    const before = document.activeElement;
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
}
