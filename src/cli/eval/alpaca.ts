/** @file `selm eval alpaca`: AlpacaEval 2's win rates, from existing annotations or by a judge. */
import { Command } from 'commander';
import { deviceOption } from '../device.ts';
import { numberBetween, wholeNumber } from '../numbers.ts';
import { type RanksOptions, ranksOption } from '../ranks.ts';
import type { AlpacaOptions } from './alpaca-result.ts';
import { watchOnRanks } from './stop.ts';

type EvalAlpacaOptions = AlpacaOptions & RanksOptions;

/** The command. */
export function evalAlpacaCommand(): Command {
  return new Command('alpaca')
    .description('win rates of AlpacaEval 2: raw, discrete and length-controlled')
    .argument('[model]', 'with --judge: the model to sample outputs from')
    .option('--annotations <files...>', "one a model: alpaca_eval's annotations.json, or a table (CSV, JSONL)")
    .option('--outputs <file>', "one model's outputs: for their average length, or with --judge to be judged")
    .option('--judge <model>', 'ask this model for the annotations, as its server knows it')
    .option('--set <key.path=value>', 'a setting of the judge: ranker.baseUrl=...; may be repeated', collect, [])
    .option('--reference <file>', "the baseline's outputs (default: GPT-4's of the leaderboard, from the Hub)")
    .option('--answers <file>', 'keep what the judge answers there: run again with it, and nothing is asked twice')
    .option('--write-annotations <file>', "write the judge's verdicts there, in alpaca_eval's form")
    .option('--temperature <t>', 'of the outputs; 0 is greedy', numberBetween(0, Infinity, 'inclusive'), 0)
    .option('--top-p <p>', 'of the outputs', numberBetween(0, 1, 'exclusive'), 1)
    .option('--max-new-tokens <n>', 'longer outputs are cut', wholeNumber(1), 2048)
    .option('--seed <n>', 'the same seed gives the same outputs', wholeNumber(0), 0)
    .addOption(deviceOption())
    .option('--store <file>', "where outputs are kept (default: evaluations.db in selm's cache folder)")
    .addOption(ranksOption())
    .option('--weights <file>', 'coefficients of models as alpaca_eval saves them, for the matrix')
    .option('--models <names...>', 'of the file of coefficients: only these, in this order')
    .option('--picture <file>', 'draw the matrix into an SVG file')
    .option(
      '--c <value>',
      'inverse strength of the penalty, in place of cross-validation',
      numberBetween(0, Infinity, 'exclusive'),
    )
    .option('--data <folder>', 'folder with df_gamed.csv (default: near the annotations, else fetched from the Hub)')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
A table has the columns preference (1 baseline better .. 2 model better), and output_1 (baseline) and output_2 (model), or
their lengths in code points len_1 and len_2; index says an instruction's place where rows are not all there in order.
Several files, or --weights, give win rates at equal lengths of every model over every other.

Examples:
  $ selm eval alpaca --annotations annotations.json --json
  $ selm eval alpaca --annotations ours.csv theirs.csv --picture matrix.svg
  $ selm eval alpaca ./model --judge gpt-4-1106-preview --set ranker.baseUrl=https://api.openai.com/v1 \\
      --set ranker.apiKeyVariable=OPENAI_API_KEY --answers answers.jsonl --write-annotations annotations.json`,
    )
    .action(evalAlpaca);
}

async function evalAlpaca(model: string | undefined, options: EvalAlpacaOptions): Promise<void> {
  // Loaded here: --help and the other commands need no engine.
  const { alpacaResult } = await import('./alpaca-result.ts');
  const text = await watchOnRanks({ ...options, model }, (listening) => alpacaResult(model, options, listening));
  if (text !== null) process.stdout.write(`${text}\n`);
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
