/** @file Numbers and tables as a person reads them on a terminal. Pure functions. */

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1,234/s`, `3.1/s`, or for slow work `14/min`. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 10) return `${Math.round(perSecond).toLocaleString('en-US')}/s`;
  return perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(perSecond * 60).toFixed(perSecond * 60 >= 10 ? 0 : 1)}/min`;
}

/** A number in up to about seven characters: `0.6931`, `-123.4`, `5.00e-7`, `128`. */
export function formatNumber(value: number | undefined): string {
  if (value === undefined) return '';
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 1 : 4);
}

/** One line of text without control characters, so that no response can move the cursor; cut to `width` with `…`. */
export function oneLine(text: string, width: number): string {
  const line = printable(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line;
}

/** Text as it is but for control characters other than line ends, which are shown as `�`. */
export function printable(text: string): string {
  return text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll('\t', '  ')
    .replaceAll(/[^\P{Cc}\n]/gu, '�');
}

/** Rows under a header, columns aligned: numbers right, texts left. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = header.map((_, column) =>
    rows.every((row) => /^(-?[\d.]+(e-?\d+)?( [kMGT]?i?B)?|NaN|-?Infinity)?$/.test(row[column] ?? '')),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [header, ...rows].map(line).join('\n');
}

/**
 * Lines of `text` broken between words where they are wider than `columns`. What follows a label and two spaces stands below it,
 * other lines are moved in. A word that is wider than a line stays whole.
 */
export function wrapped(text: string, columns: number | undefined): string {
  if (columns === undefined) return text;
  return text
    .split('\n')
    .map((line) => wrappedLine(line, columns))
    .join('\n');
}

function wrappedLine(line: string, columns: number): string {
  if (line.length <= columns) return line;
  const label = /^\s*\S+(?: \S+)* {2,}/.exec(line)?.[0].length ?? Number.POSITIVE_INFINITY;
  const lead = /^\s*/.exec(line)?.[0].length ?? 0;
  const indent = ' '.repeat(label <= columns / 2 ? label : lead + 2);
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const at = rest.lastIndexOf(' ', columns);
    const next = at > indent.length ? at : rest.indexOf(' ', columns);
    if (next < 0) break;
    lines.push(rest.slice(0, next).trimEnd());
    rest = indent + rest.slice(next).trimStart();
  }
  return [...lines, rest].join('\n');
}

/** Lines of `text`, each moved in by `indent`. */
export function indented(text: string, indent: string): string {
  return text.replaceAll(/^/gm, indent);
}
