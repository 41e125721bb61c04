/** A filter of several words, each of one form; what is not of that form is said at the field and not asked for. */
import { TagsInput } from "@mantine/core";
import { useState } from "react";

interface Props {
  readonly label: string;
  /** What a word looks like. */
  readonly hint: string;
  /** Shown while a word does not fit. */
  readonly wrong: string;
  readonly fits: (word: string) => boolean;
  readonly words: readonly string[] | undefined;
  readonly choose: (words: readonly string[]) => void;
}

export function Words({ label, hint, wrong, fits, words, choose }: Props) {
  const [isWrong, setIsWrong] = useState(false);
  return (
    <TagsInput
      aria-label={label}
      placeholder={words ? "" : hint}
      value={[...(words ?? [])]}
      splitChars={[]}
      error={isWrong ? wrong : undefined}
      onChange={(chosen) => {
        setIsWrong(!chosen.every(fits));
        choose(chosen.filter(fits));
      }}
    />
  );
}
