/** What is wrong with the name of a new experiment, before the server is asked (api.md §2.4). */
const MAX_BYTES = 128;

export function nameProblem(name: string): "nameBlank" | "nameLong" | undefined {
  if (name.trim() === "") return "nameBlank";
  return new TextEncoder().encode(name).length > MAX_BYTES ? "nameLong" : undefined;
}
