/** @file The work of `selm eval alpaca`: annotations in, of files or of a judge, the leaderboard's numbers out, as text or JSON. */
import { writeFileSync } from 'node:fs';
import { basename, dirname, extname } from 'node:path';
import { SelmError } from '../../errors.ts';
import { type Annotations, readAnnotations } from '../../evaluate/alpaca/annotations.ts';
import { type LeaderboardRow, leaderboardRow } from '../../evaluate/alpaca/leaderboard-row.ts';
import { type LengthModel, lengthControlledMatrix, type SharedFacts } from '../../evaluate/alpaca/length-controlled.ts';
import {
  GAMED_FILE,
  GAMED_HUB_NAME,
  OWN_INSTRUCTIONS,
  placeSharedFacts,
  readSharedFacts,
  readWeights,
} from '../../evaluate/alpaca/shared-facts.ts';
import { codePoints } from '../../evaluate/code-points.ts';
import { readResultFile, textOf } from '../../evaluate/records.ts';
import { createFile } from '../../files/new-file.ts';
import { localFiles } from '../../hub/local.ts';
import { winRateMatrixSvg } from '../../report/win-rate-matrix.ts';
import { UsageError } from '../errors.ts';
import { formatTable } from '../format.ts';
import { hubAccess } from '../hub.ts';
import { type AlpacaOutputOptions, judgedAnnotations } from './alpaca-judge.ts';
import type { EvalJudgeOptions } from './judge.ts';
import type { SharedListening } from './stop.ts';

type NamedRow = { model: string } & LeaderboardRow;

interface Matrix {
  models: string[];
  /** Percent: `win_rates[row][column]` is of the model `row` over the model `column`. */
  win_rates: number[][];
}

/** Options that say what annotations are read or asked for, and what is computed of them. */
export interface AlpacaOptions extends AlpacaOutputOptions, Omit<EvalJudgeOptions, 'judge'> {
  annotations?: string[];
  judge?: string;
  weights?: string;
  models?: string[];
  picture?: string;
  c?: number;
  data?: string;
  json?: true;
}

/** What the command prints. Throws UsageError, DataError, FileError or HubError. */
export async function alpacaResult(
  model: string | undefined,
  options: AlpacaOptions,
  listening: SharedListening,
): Promise<string> {
  const { annotations: files = [], weights, judge } = options;
  checkOptions(model, options);
  const shared = await sharedFacts(options);
  const toRow = (
    annotations: Annotations,
    { name, ...known }: { name: string; outputLengths: readonly number[] | null; instructions?: number },
  ): NamedRow => {
    const row = leaderboardRow(annotations, { shared, c: options.c ?? null, ...known });
    return { model: annotations.model ?? name, ...row };
  };
  const rows: NamedRow[] = [];
  if (judge !== undefined) {
    const { annotations, instructions } = await judgedAnnotations(model, { ...options, judge }, listening);
    rows.push(toRow(annotations, { name: '', outputLengths: null, instructions }));
  }
  const lengths = judge !== undefined || options.outputs === undefined ? null : await lengthsOfOutputs(options.outputs);
  for (const file of files)
    rows.push(toRow(readAnnotations(await readResultFile(file), file), { name: nameOf(file), outputLengths: lengths }));
  const fitted: [string, LengthModel][] = rows.flatMap(({ model, weights: own }) =>
    own === null ? [] : [[model, own]],
  );
  const known = weights === undefined ? [] : await chosenWeights(weights, options.models);
  const matrix = matrixOf([...fitted, ...known], shared);
  if (options.picture !== undefined) await drawMatrix(options.picture, matrix);
  return options.json ? jsonText(rows, matrix) : text(rows, matrix);
}

function checkOptions(model: string | undefined, { annotations = [], weights, judge, outputs }: AlpacaOptions): void {
  if (annotations.length === 0 && weights === undefined && judge === undefined) {
    throw new UsageError('Nothing to evaluate: give --annotations FILE, --judge MODEL, or --weights FILE for a matrix');
  }
  if (model !== undefined && judge === undefined) {
    throw new UsageError(
      `A model's outputs need a judge: add --judge MODEL, or give --annotations FILE without "${model}"`,
    );
  }
  if (outputs !== undefined && judge === undefined && annotations.length !== 1) {
    throw new UsageError(
      `--outputs holds one model's outputs, and there are ${annotations.length} files of annotations`,
    );
  }
}

/** One model's numbers alone are the object itself, so that a program finds them by their names. */
function jsonText(rows: readonly NamedRow[], matrix: Matrix | null): string {
  const [only] = rows;
  if (rows.length === 1 && matrix === null) return JSON.stringify(only);
  return JSON.stringify({ models: rows, length_controlled_matrix: matrix });
}

function text(rows: readonly NamedRow[], matrix: Matrix | null): string {
  const parts: string[] = [];
  if (rows.length > 0) {
    const header = [
      'model',
      'LC win rate',
      'SE',
      'win rate',
      'SE',
      'discrete',
      'wins',
      'losses',
      'draws',
      'n',
      'length',
    ];
    const cells = rows.map((row) => [
      row.model,
      ...[row.length_controlled_winrate, row.lc_standard_error].map(percent),
      ...[row.win_rate, row.standard_error, row.discrete_win_rate].map(percent),
      ...[row.n_wins, row.n_wins_base, row.n_draws, row.n_total, row.avg_length].map((value) => String(value ?? '')),
    ]);
    parts.push(formatTable(header, cells));
    for (const { model, warnings } of rows) for (const warning of warnings) parts.push(`${model}: ${warning}`);
  }
  if (matrix !== null) {
    const cells = matrix.models.map((model, row) => [model, ...(matrix.win_rates[row] ?? []).map(percent)]);
    parts.push(
      '',
      'Win rate at equal lengths of each row over each column, in percent',
      formatTable(['', ...matrix.models], cells),
    );
  }
  return parts.join('\n');
}

function percent(value: number | null): string {
  return value === null ? '' : value.toFixed(2);
}

function matrixOf(models: readonly [string, LengthModel][], shared: SharedFacts | { problem: string }): Matrix | null {
  if (models.length < 2 || 'problem' in shared) return null;
  const weights = models.map(([, each]) => each);
  return { models: models.map(([model]) => model), win_rates: lengthControlledMatrix(weights, shared) };
}

async function drawMatrix(path: string, matrix: Matrix | null): Promise<void> {
  if (matrix === null) {
    throw new UsageError(
      'There is no matrix to draw: it needs two models with annotations or coefficients, and df_gamed.csv',
    );
  }
  const picture = winRateMatrixSvg({
    title: 'Length-controlled win rate, AlpacaEval 2',
    models: matrix.models,
    winRates: matrix.win_rates,
  });
  await createFile(path, async (temporary) => writeFileSync(temporary, picture));
}

async function chosenWeights(file: string, names: readonly string[] | undefined): Promise<[string, LengthModel][]> {
  const known = readWeights(await readResultFile(file), file);
  return (names ?? [...known.keys()]).map((name) => {
    const found = known.get(name);
    if (found === undefined) {
      throw new UsageError(`${file} has no model "${name}": it has ${[...known.keys()].slice(0, 8).join(', ')}, ...`);
    }
    return [name, found];
  });
}

/** Without these a win rate still stands, so what is wrong with them is told and not thrown. */
async function sharedFacts(options: AlpacaOptions): Promise<SharedFacts | { problem: string }> {
  const { annotations = [], weights, reference, judge } = options;
  const files = [...annotations, ...[weights, reference].flatMap((file) => file ?? [])];
  const near = files.flatMap((file) => [dirname(file), dirname(dirname(file))]);
  const found = placeSharedFacts({ folder: options.data ?? null, near });
  if (found === null && judge !== undefined && reference !== undefined) return { problem: OWN_INSTRUCTIONS };
  try {
    const [file = ''] = found === null ? await localFiles([GAMED_HUB_NAME], hubAccess()) : [found];
    return readSharedFacts(await readResultFile(file), file);
  } catch (error) {
    if (found !== null || !(error instanceof SelmError)) throw error;
    return { problem: `${error.message} (or give --data FOLDER with ${GAMED_FILE})` };
  }
}

/** Missing outputs are reported: the leaderboard's average is over all of them. */
async function lengthsOfOutputs(file: string): Promise<number[]> {
  const { records, problems } = await readResultFile(file);
  const missing = problems.length + records.filter(({ value }) => textOf(value.output) === null).length;
  if (missing > 0)
    process.stderr.write(`${file}: ${missing} rows have no output and do not count in the average length\n`);
  return records.flatMap(({ value }) => {
    const output = textOf(value.output);
    return output === null ? [] : [codePoints(output)];
  });
}

function nameOf(file: string): string {
  const name = basename(file, extname(file));
  return name === 'annotations' ? basename(dirname(file)) : name;
}
