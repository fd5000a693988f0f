// A PDF as a teacher might have it: pages of text in fonts it does not bring along, Chinese among
// them, so that showing it needs the tables and fonts we serve.

const utf16 = (text) => Buffer.from(text, "utf16le").swap16().toString("hex");

/** A page for each title, 4:3, with the title on it. */
export function pdfOf(titles) {
  const first = 7;
  const kids = titles.map((_, n) => `${first + 2 * n} 0 R`).join(" ");
  const objects = [
    "<</Type/Catalog/Pages 2 0 R>>",
    `<</Type/Pages/Count ${titles.length}/Kids[${kids}]>>`,
    "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[5 0 R]>>",
    "<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>/FontDescriptor 6 0 R>>",
    "<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/FontBBox[-25 -254 1000 880]/ItalicAngle 0/Ascent 880/Descent -120/CapHeight 880/StemV 93>>",
  ];
  for (const [n, title] of titles.entries()) {
    const text = `BT /Z 60 Tf 60 300 Td <${utf16(title)}> Tj ET BT /F 96 Tf 60 120 Td (${n + 1}) Tj ET`;
    objects.push(
      `<</Type/Page/Parent 2 0 R/MediaBox[0 0 640 480]/Contents ${first + 2 * n + 1} 0 R` +
        "/Resources<</Font<</F 3 0 R/Z 4 0 R>>>>>>",
      `<</Length ${text.length}>>stream\n${text}\nendstream`,
    );
  }
  let file = "%PDF-1.4\n";
  const places = objects.map((object, n) => {
    const place = file.length;
    file += `${n + 1} 0 obj\n${object}\nendobj\n`;
    return String(place).padStart(10, "0");
  });
  const end = file.length;
  const table = places.map((place) => `${place} 00000 n \n`).join("");
  return Buffer.from(
    `${file}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}` +
      `trailer<</Size ${objects.length + 1}/Root 1 0 R>>\nstartxref\n${end}\n%%EOF\n`,
  );
}
