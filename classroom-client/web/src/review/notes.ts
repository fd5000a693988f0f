// Notes of a lesson as a table that spreadsheets open. Pure.

export interface NoteLine {
  atMs: number;
  text: string;
}

/**
 * One cell (RFC 4180). A text that a spreadsheet would take for a formula is marked as text: it
 * may quote what a pupil wrote.
 */
export function cell(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** With the mark that tells spreadsheets that it is UTF-8. */
export function table(rows: readonly (readonly string[])[]): string {
  return `\ufeff${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** In the order of the lesson. */
export function inOrder<T extends NoteLine>(notes: readonly T[]): T[] {
  return [...notes].sort((a, b) => a.atMs - b.atMs);
}
