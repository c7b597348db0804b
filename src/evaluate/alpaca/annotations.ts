/**
 * @file Annotations of AlpacaEval: a judge's verdict on a model's output beside the baseline's, instruction by instruction, from
 * the files that alpaca_eval writes (`annotations.json`) or a table of them. What cannot be used is named and counted.
 */
import { DataError } from '../../errors.ts';
import { codePoints } from '../code-points.ts';
import { numberOf, type ResultFile, textOf } from '../records.ts';

/** A verdict that can be used. */
export interface Annotation {
  /** The instruction's place, from 0; its difficulty is looked up by it. */
  index: number;
  /** From 1 (the baseline's output is better) to 2 (the model's is). */
  preference: number;
  /** Code points of the outputs; null where the file does not say. */
  lengths: { baseline: number; model: number } | null;
}

/** The annotations of one model. */
export interface Annotations {
  /** Its name (`generator_2`), where the file says it. */
  model: string | null;
  /** In the order of their places. */
  usable: Annotation[];
  /** Rows without a verdict, by their line. */
  unusable: { line: number; problem: string }[];
  /** Rows whose place is not that of their instruction, because rows before them are missing. */
  displaced: number;
  /** The baseline was compared with itself. */
  isBaseline: boolean;
}

/**
 * The annotations in a file's records: `preference`, and `output_1` (the baseline's) and `output_2`, or `len_1` and `len_2`. A column
 * `index` says the place; without it a row's place is that in the file, as in alpaca_eval.
 *
 * @throws DataError ALPACA_COLUMNS, ALPACA_INDEX
 */
export function readAnnotations({ records, problems }: ResultFile, file: string): Annotations {
  if (records.length > 0 && !records.some(({ value }) => 'preference' in value)) {
    throw new DataError(
      'ALPACA_COLUMNS',
      `Cannot use ${file} as annotations: no row has "preference": give alpaca_eval's annotations, or a table with preference, len_1 and len_2`,
      { details: { file, columns: Object.keys(records[0]?.value ?? {}) } },
    );
  }
  const usable: Annotation[] = [];
  const unusable = [...problems];
  const seen = new Map<number, number>();
  let displaced = 0;
  // A line that could not be read has its place all the same.
  const lines = [...records, ...problems].map(({ line }) => line).sort((a, b) => a - b);
  const places = new Map(lines.map((line, place) => [line, place]));
  records.forEach(({ line, value }) => {
    const position = places.get(line) ?? 0;
    const index = indexOf(value, position, { file, line, seen });
    const instruction = numberOf(value.eval_index);
    if (instruction !== null && instruction !== index) displaced += 1;
    const preference = preferenceOf(value);
    if (typeof preference === 'string') unusable.push({ line, problem: preference });
    else usable.push({ index, preference, lengths: lengthsOf(value) });
  });
  usable.sort((a, b) => a.index - b.index);
  const model = textOf(records[0]?.value.generator_2);
  return { model, usable, unusable, displaced, isBaseline: isBaseline(records) };
}

function indexOf(
  value: Record<string, unknown>,
  position: number,
  { file, line, seen }: { file: string; line: number; seen: Map<number, number> },
): number {
  const index = 'index' in value ? numberOf(value.index) : position;
  const problem = (what: string) =>
    new DataError('ALPACA_INDEX', `Cannot use ${file}:${line}: ${what}`, { details: { file, line } });
  if (index === null || !Number.isSafeInteger(index) || index < 0) {
    throw problem(`its index ${JSON.stringify(value.index)} is no place: give whole numbers from 0, or no such column`);
  }
  const before = seen.get(index);
  if (before !== undefined) {
    throw problem(`index ${index} stands on line ${before} too: give one model's annotations, each instruction once`);
  }
  seen.set(index, line);
  return index;
}

/** The preference, or why there is none. 0 is alpaca_eval's old form of a draw. */
function preferenceOf({ preference }: Record<string, unknown>): number | string {
  const value = numberOf(preference);
  if (value === null) return 'the annotator gave no preference';
  if (value === 0) return 1.5;
  if (value >= 1 && value <= 2) return value;
  return `preference ${JSON.stringify(preference)} is not between 1 and 2`;
}

function lengthsOf(value: Record<string, unknown>): Annotation['lengths'] {
  const baseline = lengthOf(value.output_1, value.len_1);
  const model = lengthOf(value.output_2, value.len_2);
  return baseline === null || model === null ? null : { baseline, model };
}

function lengthOf(output: unknown, length: unknown): number | null {
  const text = textOf(output);
  if (text !== null) return codePoints(text);
  const value = numberOf(length);
  return value !== null && Number.isFinite(value) ? value : null;
}

function isBaseline(records: ResultFile['records']): boolean {
  return (
    records.length > 0 &&
    records.every(({ value: { generator_1, generator_2 } }) => generator_1 !== undefined && generator_1 === generator_2)
  );
}
