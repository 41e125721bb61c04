/** Words out of what is not ours: addresses, and answers to uploads. */
/** What the last part of an address is called. */
export function lastPart(address: string): string {
  return (address.split(/[?#]/, 1)[0] ?? "").split("/").at(-1) ?? "";
}

/** The address where a link may lead: that of a page, not a script. Undefined for everything else. */
export function linkable(address: string): string | undefined {
  return /^https?:\/\//i.test(address) && URL.canParse(address) ? address : undefined;
}

/** What the server says against an upload; the status where it says nothing that can be read. */
export function complaint(status: string, body: string): string {
  try {
    const said: unknown = JSON.parse(body);
    if (typeof said === "object" && said !== null) {
      for (const key of ["error_details", "message", "error"]) {
        const words: unknown = Reflect.get(said, key);
        if (typeof words === "string" && words !== "") return words;
      }
    }
  } catch {
    // A proxy's page, say.
  }
  return status;
}
