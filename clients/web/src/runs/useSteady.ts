/** What a reader points at stays where it is for the moment in which it is pressed: news wait until the pointer rests. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

const RESTS_AFTER_MS = 600;

/** The value to show, and the handlers of what shows it. */
export function useSteady<T>(value: T) {
  const [held, hold] = useState<{ readonly value: T }>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const release = useCallback(() => {
    clearTimeout(timer.current);
    hold(undefined);
  }, []);
  useEffect(() => release, [release]);
  const handlers = useMemo(() => {
    const aim = (milliseconds: number) => {
      hold((old) => old ?? { value });
      clearTimeout(timer.current);
      timer.current = setTimeout(release, milliseconds);
    };
    return {
      onPointerMove: () => aim(RESTS_AFTER_MS),
      onPointerDown: () => aim(5 * RESTS_AFTER_MS),
      onPointerUp: () => aim(RESTS_AFTER_MS),
      onPointerCancel: release,
      onPointerLeave: release,
    };
  }, [value, release]);
  return { steady: held ? held.value : value, handlers };
}
