/** The namespaces that a reader looked at, the latest first. They come from the browser's store: anything may be there. */
const MOST = 10;

export const isNamespace = (name: unknown): name is string =>
  typeof name === "string" && /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name);

export function withLatest(recent: unknown, latest: string): string[] {
  const others = (Array.isArray(recent) ? recent : []).filter(isNamespace).filter((name) => name !== latest);
  return [latest, ...others].slice(0, MOST);
}
