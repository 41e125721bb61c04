/**
 * The beginning of an artifact, or a page of it, as what a page can show: never more than it asked for.
 *
 * A character belongs to the page that its first byte is in, so a page is asked for with the few bytes that follow it.
 */
export const PAGE_BYTES = 64 * 1024;
export const REST_OF_CHARACTER = 3;
export const MOST_OF_DOCUMENT = 1024 * 1024;
export const MOST_OF_IMAGE = 4 * 1024 * 1024;

export interface Part {
  readonly bytes: Uint8Array;
  /** Of the whole; undefined for what is unpacked. */
  readonly total: number | undefined;
}

const IMAGES: readonly (readonly [string, RegExp])[] = [
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
];

/** The type of an image by its first bytes, of those that browsers show; SVG is text. */
export function imageType(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  return IMAGES.find(([, magic]) => magic.test(head))?.[0];
}

/** Text of a page that is `size` bytes long; undefined when this is no text. */
export function textOf(bytes: Uint8Array, size: number, whole: boolean): string | undefined {
  const goesOn = (at: number) => ((bytes[at] ?? 0) & 0xc0) === 0x80;
  let [first, last] = [0, Math.min(size, bytes.length)];
  while (first < REST_OF_CHARACTER && !whole && goesOn(first)) first++;
  while (last < bytes.length && goesOn(last)) last++;
  const page = bytes.subarray(first, last);
  if (page.includes(0)) return undefined;
  try {
    // Of what was cut off somewhere the last character may lack a part.
    return new TextDecoder("utf-8", { fatal: true }).decode(page, { stream: true });
  } catch {
    return undefined;
  }
}

export function dataUrl(type: string, bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return `data:${type};base64,${btoa(binary)}`;
}

/** JSON laid out for reading; undefined for what is none. */
export function prettyJson(text: string): string | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return undefined;
  }
}
