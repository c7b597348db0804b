/**
 * @file What AlpacaEval publishes beside its code and every length-controlled win rate needs: `df_gamed.csv`, the judge's verdicts on
 * the baseline told to be verbose and concise, with each instruction's difficulty. And published coefficients of models.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../errors.ts';
import { numberOf, type ResultFile, textOf } from '../records.ts';
import type { LengthModel, SharedFacts } from './length-controlled.ts';

/** The file's name, and where it is on the Hub; the commit pins the 805 difficulties that the leaderboard uses. */
export const GAMED_FILE = 'df_gamed.csv';
export const GAMED_HUB_NAME = `hub:tatsu-lab/alpaca_eval@2edc6fad8be6b14ea7230aabfd08188da6b8b814:${GAMED_FILE}`;

/** Why there is no length control where others have written the instructions. */
export const OWN_INSTRUCTIONS = `difficulties are known of AlpacaEval's own instructions only; where these are them, put ${GAMED_FILE} beside the baseline's file`;

/** The file in a folder that was named, or the first near other files; null where there is none. DataError ALPACA_SHARED. */
export function placeSharedFacts({ folder, near }: { folder: string | null; near: readonly string[] }): string | null {
  const found = (folder === null ? near : [folder])
    .map((each) => join(each, GAMED_FILE))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  if (folder === null) return null;
  throw new DataError(
    'ALPACA_SHARED',
    `Cannot control for length: there is no ${GAMED_FILE} in ${folder}: it is in the data set ${GAMED_HUB_NAME}`,
    { details: { folder } },
  );
}

/** Reads `df_gamed.csv`. DataError ALPACA_SHARED where it is not that file. */
export function readSharedFacts({ records, problems }: ResultFile, file: string): SharedFacts {
  const wrong = (line: number, what: string) =>
    new DataError('ALPACA_SHARED', `Cannot use ${file}:${line}: ${what}: fetch ${GAMED_HUB_NAME} again`, {
      details: { file, line },
    });
  const [bad] = problems;
  if (bad !== undefined) throw wrong(bad.line, bad.problem);
  const difficulty: number[] = [];
  const gamed = records.map(({ line, value }) => {
    const number = (column: string): number => {
      const found = numberOf(value[column]);
      if (found !== null && Number.isFinite(found)) return found;
      throw wrong(line, `its ${column} is ${JSON.stringify(value[column] ?? null)}, no number`);
    };
    const index = number('index');
    const row = {
      preference: number('preference'),
      lengthDifference: number('std_delta_len'),
      difficulty: number('instruction_difficulty'),
    };
    difficulty[index] ??= row.difficulty;
    return row;
  });
  const gap = [...difficulty.keys()].find((index) => difficulty[index] === undefined);
  if (records.length === 0 || gap !== undefined) throw wrong(1, `it has no difficulty of instruction ${gap ?? 0}`);
  return { difficulty, gamed };
}

/** Coefficients by model, from a file in the layout in which alpaca_eval saves them. DataError ALPACA_WEIGHTS. */
export function readWeights({ records }: ResultFile, file: string): Map<string, LengthModel> {
  return new Map(
    records.map(({ line, value }) => {
      const [length, difficulty, bias] = [
        numberOf(value['np.tanh(std_delta_len)']),
        numberOf(value.instruction_difficulty),
        numberOf(value['not_gamed_baseline.astype(float)']),
      ];
      const name = textOf(value['']);
      if (name !== null && isNumber(length) && isNumber(difficulty) && isNumber(bias)) {
        return [name, { length, difficulty, bias }];
      }
      throw new DataError(
        'ALPACA_WEIGHTS',
        `Cannot use ${file}:${line} as a model's coefficients: it needs the model's name and three numbers, as alpaca_eval saves them`,
        { details: { file, line } },
      );
    }),
  );
}

function isNumber(value: number | null): value is number {
  return value !== null && Number.isFinite(value);
}
