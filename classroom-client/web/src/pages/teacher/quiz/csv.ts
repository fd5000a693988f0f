// CSV as spreadsheets write it (RFC 4180): quoted fields, doubled quotes; separated by comma,
// semicolon or tab, whichever the first line has most of.

export interface Row {
  /** Of the file, 1 for the first. */
  line: number;
  fields: string[];
}

export function parseCsv(text: string): Row[] {
  const separator = separatorOf(text.slice(0, text.search(/\n|$/)));
  const rows: Row[] = [];
  let row: Row = { line: 1, fields: [] };
  let field = "";
  let quoted = false;
  let line = 1;
  const endField = () => {
    row.fields.push(field);
    field = "";
  };
  for (let i = 0; i < text.length; i += 1) {
    const one = text[i];
    if (one === "\n") line += 1;
    if (quoted) {
      if (one !== '"') field += one;
      else if (text[i + 1] === '"') {
        field += '"';
        i += 1;
      } else quoted = false;
    } else if (one === '"' && field === "") quoted = true;
    else if (one === separator) endField();
    else if (one === "\n") {
      endField();
      rows.push(row);
      row = { line, fields: [] };
    } else field += one;
  }
  if (field !== "" || row.fields.length > 0) {
    endField();
    rows.push(row);
  }
  return rows;
}

function separatorOf(head: string): string {
  const count = (one: string) => head.split(one).length;
  return [",", ";", "\t"].reduce((best, one) => (count(one) > count(best) ? one : best), ",");
}
