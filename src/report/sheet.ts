/** @file A table of numbers, once for HTML and for Markdown. Pure. */
import { type Markup, markup } from './markup.ts';
import { table } from './page.ts';

/** A value with what stands small beside it: interval, n. Each line of the hint is one of its own. */
export interface Cell {
  text: string;
  hint: string;
}

export interface Sheet {
  caption: string;
  /** What the numbers are, in a sentence or two. */
  explanation: string;
  /** The first is of the rows' names. */
  head: Cell[];
  rows: { name: Cell; cells: Cell[] }[];
}

export const EMPTY: Cell = { text: '', hint: '' };

/** A value with nothing beside it. */
export function plain(text: string): Cell {
  return { text, hint: '' };
}

/** As HTML with its explanation; null of null. */
export function sheetMarkup(sheet: Sheet | null): Markup | null {
  if (sheet === null) return null;
  const cell = ({ text, hint }: Cell): Markup =>
    markup`${text}${hint === '' ? null : hint.split('\n').map((line) => markup` <span class="hint">${line}</span>`)}`;
  const rows = sheet.rows.map(
    ({ name, cells }) =>
      markup`<tr><th scope="row">${cell(name)}</th>${cells.map((each) => markup`<td>${cell(each)}</td>`)}</tr>`,
  );
  return markup`<p class="hint">${sheet.explanation}</p>${table(sheet.caption, sheet.head.map(cell), rows)}`;
}

/** Lines of a Markdown table; hints stand after their values. */
export function sheetMarkdown({ head, rows }: Pick<Sheet, 'head' | 'rows'>): string[] {
  const cell = ({ text, hint }: Cell): string =>
    asMarkdown(hint === '' ? text : `${text} (${hint.replaceAll('\n', '; ')})`);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(head.map(cell)),
    line(head.map(() => '---')),
    ...rows.map(({ name, cells }) => line([cell(name), ...cells.map(cell)])),
  ];
}

/** Text of models and users as one line of text, not as Markdown or HTML. */
export function asMarkdown(text: string): string {
  return text
    .replaceAll(/[\\`*<>|]|(?<!\w)_|_(?!\w)|\](?=[([:])/g, '\\$&')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/[^\P{Cc}]/gu, '\ufffd');
}
