/** @file `selm eval mt-bench` and `selm eval eq-bench`: scores from results that are there, without a model or a judge. */
import { Command } from 'commander';
import type { MtBenchResult } from '../evaluate/mt-bench/judgments.ts';
import { UsageError } from './errors.ts';
import { formatTable } from './format.ts';

/** The command for MT-Bench's judgments. */
export function evalMtBenchCommand(): Command {
  return new Command('mt-bench')
    .description('averages of MT-Bench, by turn and category, from judgments')
    .requiredOption(
      '--judgments <file>',
      "FastChat's model_judgment file: question_id, turn, and judgment or score a row",
    )
    .option('--model <name>', 'of a file with several models, this one')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
A judgment without a rating counts as unparsed and in no average. The average is over all judgments, not of the turns.

Example:
  $ selm eval mt-bench --judgments gpt-4_single.jsonl --model vicuna-7b-v1.3 --json`,
    )
    .action(evalMtBench);
}

/** The command for EQ-Bench's results. */
export function evalEqBenchCommand(): Command {
  return new Command('eq-bench')
    .description("EQ-Bench's score from its own program's result file")
    .requiredOption('--results <file>', 'JSON with "iterations": answers by question')
    .option('--json', 'one JSON object')
    .action(evalEqBench);
}

async function evalMtBench(options: { judgments: string; model?: string; json?: true }): Promise<void> {
  const { mtBenchResults } = await import('../evaluate/mt-bench/judgments.ts');
  const { readResultFile } = await import('../evaluate/records.ts');
  const results = mtBenchResults(await readResultFile(options.judgments), options.judgments);
  const names = options.model === undefined ? [...results.keys()] : [options.model];
  const chosen = names.map((model): [string, MtBenchResult] => {
    const result = results.get(model);
    if (result !== undefined) return [model, result];
    throw new UsageError(`${options.judgments} has no model "${model}": it has ${[...results.keys()].join(', ')}`);
  });
  process.stdout.write(`${options.json ? mtBenchJson(chosen) : mtBenchText(chosen)}\n`);
}

/** One model's numbers alone are the object itself, so that a program finds them by their names. */
function mtBenchJson(results: readonly [string, MtBenchResult][]): string {
  const named = results.map(([model, result]) => ({ ...(model === '' ? {} : { model }), ...result }));
  return JSON.stringify(named.length === 1 ? named[0] : { models: named });
}

function mtBenchText(results: readonly [string, MtBenchResult][]): string {
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

async function evalEqBench(options: { results: string; json?: true }): Promise<void> {
  const { eqBenchResult } = await import('../evaluate/eq-bench/results.ts');
  const { readJson } = await import('../evaluate/records.ts');
  const result = eqBenchResult(readJson(options.results), options.results);
  const { score, parsed, questions, first_pass, revised, warnings } = result;
  const lines = [
    `EQ-Bench ${result.version}: ${score.toFixed(2)} over ${parsed} of ${questions} questions`,
    `first answers ${first_pass.score.toFixed(2)} (${first_pass.parsed})`,
    ...(revised === null ? [] : [`revised answers ${revised.score.toFixed(2)} (${revised.parsed})`]),
    `with unreadable answers as 0: ${result.score_with_unparsed_as_zero.toFixed(2)}`,
    ...warnings,
  ];
  process.stdout.write(`${options.json ? JSON.stringify(result) : lines.join('\n')}\n`);
}
