/**
 * A change that is asked for once, however often its button is pressed.
 *
 * Invariant: it is not asked for again before the server has answered and what follows, such as the way to the next
 * page, is done: give that back from `onSuccess`. What the server has refused can be asked for again.
 */
import { useMutation, type UseMutationOptions } from "@tanstack/react-query";
import { useRef } from "react";

export function useOnce<Answer, Asked = void>(options: UseMutationOptions<Answer, Error, Asked>) {
  const mutation = useMutation(options);
  // Two clicks may come before the page has heard of the first.
  const goesOn = useRef(false);
  const once = (asked: Asked) => {
    if (goesOn.current) return;
    goesOn.current = true;
    mutation.mutate(asked, { onSettled: () => (goesOn.current = false) });
  };
  return { ...mutation, once };
}
