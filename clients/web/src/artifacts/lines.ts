/** How the lines of a chart look. Lines of one colour differ in their dashes; there are no more than can be told
 * apart. */
const HUES = ["blue", "red", "green", "orange", "grape", "cyan", "pink", "lime"] as const;
const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3]];
// Against a light and a dark ground.
const SHADES = { light: 7, dark: 4 } as const;

export const MOST_LINES = HUES.length * DASHES.length;

export interface Look {
  /** Name of a variable of the theme. */
  readonly colour: string;
  readonly dash: readonly number[];
}

export function look(line: number, scheme: "light" | "dark"): Look {
  return {
    colour: `--mantine-color-${HUES[line % HUES.length] ?? "blue"}-${SHADES[scheme]}`,
    dash: DASHES[Math.floor(line / HUES.length) % DASHES.length] ?? [],
  };
}
