// The text on a deck's pages: kept as one asset, for search, chapters and screen readers.

/** As in `protocol/src/slides.rs`: the node knows the asset by its beginning. */
const KIND = "deck-text/1";

/** Most text of one page, in bytes of UTF-8. */
export const MAX_PAGE_TEXT = 2048;

/** Longest title of a page, in characters. */
export const MAX_PAGE_TITLE = 80;

/** At most `most` bytes of `text`, never half a character. */
export function clipBytes(text: string, most: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= most) return text;
  let end = most;
  // A byte 10xxxxxx goes on with the character before it.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** What is read on a page, in one line. */
export function tidy(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ").trim();
}

/** The first line of a page as its title; none when it has no text. */
export function titleOf(lines: readonly string[]): string | undefined {
  const first = lines.map(tidy).find((line) => line.length > 0);
  return first && [...first].slice(0, MAX_PAGE_TITLE).join("");
}

/** The asset with the text of all pages. */
export function textAsset(pages: readonly string[]): Blob {
  const clipped = pages.map((page) => clipBytes(tidy(page), MAX_PAGE_TEXT));
  return new Blob([JSON.stringify({ cloudschool: KIND, pages: clipped })], {
    type: "application/json",
  });
}

/** Reads it; empty when it is something else. */
export function readText(asset: unknown): string[] {
  if (typeof asset !== "object" || asset === null) return [];
  const { cloudschool, pages } = asset as { cloudschool?: unknown; pages?: unknown };
  if (cloudschool !== KIND || !Array.isArray(pages)) return [];
  return pages.map((page) => (typeof page === "string" ? page : ""));
}
