/**
 * @file Reads CSV as spreadsheets and pandas write it (RFC 4180): fields in double quotes may hold commas, line ends
 * and doubled quotes. Every value is a text; the caller decides what it means.
 */

/** A row of a CSV text by the names of its header, with the line on which it begins. */
export interface CsvRow {
  line: number;
  fields: ReadonlyMap<string, string>;
}

/** What a CSV text holds. A row with another number of fields than the header is a problem, never shifted in silence. */
export interface CsvTable {
  columns: string[];
  rows: CsvRow[];
  problems: { line: number; problem: string }[];
}

/** Parses a whole CSV text. Blank lines are left out; a column without a name (pandas' index) has the name "". */
export function parseCsv(text: string): CsvTable {
  const [header, ...lines] = recordsOf(text.replace(/^\uFEFF/, ''));
  const columns = header?.values ?? [];
  const table: CsvTable = { columns, rows: [], problems: [] };
  for (const { line, values } of lines) {
    if (values.length === columns.length) {
      table.rows.push({ line, fields: new Map(columns.map((name, column) => [name, values[column] ?? ''])) });
    } else {
      table.problems.push({ line, problem: `it has ${values.length} fields, the header ${columns.length}` });
    }
  }
  return table;
}

interface CsvRecord {
  line: number;
  values: string[];
}

/** One field: quoted, or all up to the next comma or line end; then what ends it. */
const FIELD = /(?:"([^"]*(?:""[^"]*)*)"?([^,\r\n]*)|([^,\r\n]*))(,|\r\n|\n|\r|$)/y;

function recordsOf(text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let line = 1;
  let current: CsvRecord = { line, values: [] };
  FIELD.lastIndex = 0;
  while (FIELD.lastIndex < text.length || current.values.length > 0) {
    const [whole = '', quoted, after = '', plain = '', end = ''] = FIELD.exec(text) ?? [];
    current.values.push(quoted === undefined ? plain : quoted.replaceAll('""', '"') + after);
    line += whole.split('\n').length - 1;
    if (end === ',') continue;
    const isBlank = current.values.length === 1 && quoted === undefined && plain === '';
    if (!isBlank) records.push(current);
    current = { line, values: [] };
  }
  return records;
}
