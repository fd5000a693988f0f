// A PDF (ISO 32000-1) whose pages are JPEG pictures: all that saving a board needs.

export interface PdfPage {
  jpeg: Uint8Array;
  /** Of the picture, in dots. */
  width: number;
  height: number;
}

/** Width of a page in points: A4, landscape. */
const PAGE_WIDTH = 842;

/** The document's bytes. */
export function pdf(pages: readonly PdfPage[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const offsets: number[] = [];
  let length = 0;
  const put = (part: string | Uint8Array) => {
    const bytes = typeof part === "string" ? Uint8Array.from(part, (c) => c.charCodeAt(0)) : part;
    parts.push(bytes);
    length += bytes.length;
  };
  const object = (n: number, dictionary: string, stream?: string | Uint8Array) => {
    offsets[n] = length;
    put(`${n} 0 obj\n`);
    if (stream === undefined) put(`<< ${dictionary} >>\n`);
    else {
      put(`<< ${dictionary} /Length ${stream.length} >>\nstream\n`);
      put(stream);
      put("\nendstream\n");
    }
    put("endobj\n");
  };
  // The second line tells programs that the file is not text.
  put("%PDF-1.4\n%\u00e2\u00e3\u00cf\u00d3\n");
  const first = (n: number) => 3 + n * 3;
  object(1, "/Type /Catalog /Pages 2 0 R");
  const kids = pages.map((_, n) => `${first(n)} 0 R`).join(" ");
  object(2, `/Type /Pages /Kids [${kids}] /Count ${pages.length}`);
  pages.forEach(({ jpeg, width, height }, n) => {
    const high = Math.round((PAGE_WIDTH * height) / width);
    const [page, content, picture] = [first(n), first(n) + 1, first(n) + 2];
    object(
      page,
      `/Type /Page /Parent 2 0 R /MediaBox [0 0 ${PAGE_WIDTH} ${high}] /Contents ${content} 0 R ` +
        `/Resources << /XObject << /P ${picture} 0 R >> >>`,
    );
    object(content, "", `q ${PAGE_WIDTH} 0 0 ${high} 0 0 cm /P Do Q`);
    object(
      picture,
      `/Type /XObject /Subtype /Image /Width ${width} /Height ${height} /ColorSpace /DeviceRGB ` +
        "/BitsPerComponent 8 /Filter /DCTDecode",
      jpeg,
    );
  });
  const count = first(pages.length);
  const table = length;
  put(`xref\n0 ${count}\n0000000000 65535 f \n`);
  for (let n = 1; n < count; n++) put(`${String(offsets[n]).padStart(10, "0")} 00000 n \n`);
  put(`trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`);
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
