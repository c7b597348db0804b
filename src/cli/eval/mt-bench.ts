/** @file `selm eval mt-bench`: averages of MT-Bench, from existing judgments or by a judge. */
import { Command } from 'commander';
import type { MtBenchResult } from '../../evaluate/mt-bench/judgments.ts';
import { deviceOption } from '../device.ts';
import { UsageError } from '../errors.ts';
import { formatTable } from '../format.ts';
import { wholeNumber } from '../numbers.ts';
import { type RanksOptions, ranksOption } from '../ranks.ts';
import type { EvalJudgeOptions } from './judge.ts';
import type { MtBenchAnswerOptions } from './mt-bench-judge.ts';
import { watchOnRanks } from './stop.ts';

interface EvalMtBenchOptions extends RanksOptions, MtBenchAnswerOptions, Omit<EvalJudgeOptions, 'judge'> {
  judgments?: string;
  model?: string;
  judge?: string;
  json?: true;
}

/** The command. */
export function evalMtBenchCommand(): Command {
  return new Command('mt-bench')
    .description('averages of MT-Bench, by turn and category')
    .argument('[model]', 'with --judge: the model that answers the 80 questions')
    .option('--judgments <file>', "FastChat's model_judgment file: question_id, turn, and judgment or score a row")
    .option('--model <name>', 'of a file with several models, this one')
    .option('--judge <model>', 'ask this model for the ratings, as its server knows it')
    .option('--set <key.path=value>', 'a setting of the judge: ranker.baseUrl=...; may be repeated', collect, [])
    .option('--answers <file>', 'keep what the judge answers there: run again with it, and nothing is asked twice')
    .option('--write-judgments <file>', "write the judgments there, in FastChat's form")
    .option('--max-new-tokens <n>', "longer answers of the model are cut (FastChat's default)", wholeNumber(1), 1024)
    .addOption(deviceOption())
    .option('--store <file>', "where the model's answers are kept (default: evaluations.db in selm's cache folder)")
    .addOption(ranksOption())
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
A judgment without a rating counts as unparsed and in no average. The average is over all judgments, not of the turns.

Examples:
  $ selm eval mt-bench --judgments gpt-4_single.jsonl --model vicuna-7b-v1.3 --json
  $ selm eval mt-bench ./model --judge gpt-4 --set ranker.baseUrl=https://api.openai.com/v1 \\
      --set ranker.apiKeyVariable=OPENAI_API_KEY --answers answers.jsonl --write-judgments judgments.jsonl`,
    )
    .action(evalMtBench);
}

async function evalMtBench(model: string | undefined, options: EvalMtBenchOptions): Promise<void> {
  const { judgments, judge } = options;
  if ((judgments === undefined) === (judge === undefined)) {
    throw new UsageError('Give either --judgments FILE, or a model and --judge MODEL');
  }
  if ((model === undefined) !== (judge === undefined)) throw new UsageError('A model and --judge belong together');
  const results = await watchOnRanks({ ...options, named: options.model, model }, async (listening) => {
    if (judgments !== undefined) return fromFile(judgments, options.model);
    const { judgedMtBench } = await import('./mt-bench-judge.ts');
    return judgedMtBench(model ?? '', { ...options, judge: judge ?? '' }, listening);
  });
  if (results !== null) process.stdout.write(`${options.json ? jsonText(results) : text(results)}\n`);
}

async function fromFile(file: string, model: string | undefined): Promise<[string, MtBenchResult][]> {
  const { mtBenchResults } = await import('../../evaluate/mt-bench/judgments.ts');
  const { readResultFile } = await import('../../evaluate/records.ts');
  const results = mtBenchResults(await readResultFile(file), file);
  const names = model === undefined ? [...results.keys()] : [model];
  return names.map((name): [string, MtBenchResult] => {
    const result = results.get(name);
    if (result !== undefined) return [name, result];
    throw new UsageError(`${file} has no model "${name}": it has ${[...results.keys()].join(', ')}`);
  });
}

/** One model's numbers alone are the object itself, so that a program finds them by their names. */
function jsonText(results: readonly [string, MtBenchResult][]): string {
  const named = results.map(([model, result]) => ({ ...(model === '' ? {} : { model }), ...result }));
  return JSON.stringify(named.length === 1 ? named[0] : { models: named });
}

function text(results: readonly [string, MtBenchResult][]): string {
  const show = (value: number | null): string => (value === null ? '' : value.toFixed(3));
  const parts = results.map(([model, result]) => {
    const groups = [['all', result] as const, ...Object.entries(result.categories)];
    const rows = groups.map(([name, { turn1, turn2, average, rows, unparsed }]) => [
      name,
      ...[turn1, turn2, average].map(show),
      ...[rows, unparsed].map(String),
    ]);
    const table = formatTable(['', 'turn 1', 'turn 2', 'average', 'rows', 'unparsed'], rows);
    const problems = result.problems.map(({ line, problem }) => `line ${line}: ${problem}`);
    return [...(model === '' ? [] : [model]), table, ...problems].join('\n');
  });
  return parts.join('\n\n');
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
