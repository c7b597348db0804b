/** @file `selm eval alpaca`: AlpacaEval 2's win rates from annotations that are there, without a judge. */
import { Command } from 'commander';
import { numberBetween } from './numbers.ts';

export interface EvalAlpacaOptions {
  annotations?: string[];
  outputs?: string;
  weights?: string;
  models?: string[];
  c?: number;
  data?: string;
  json?: true;
}

/** The command. */
export function evalAlpacaCommand(): Command {
  return new Command('alpaca')
    .description('win rates of AlpacaEval 2 from annotations: raw, discrete and length-controlled')
    .option('--annotations <files...>', "one a model: alpaca_eval's annotations.json, or a table (CSV, JSONL)")
    .option('--outputs <file>', "all of one model's outputs, for their average length")
    .option('--weights <file>', 'coefficients of models as alpaca_eval saves them, for the matrix')
    .option('--models <names...>', 'of the file of coefficients: only these, in this order')
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
  $ selm eval alpaca --annotations ours.csv theirs.csv`,
    )
    .action(async (options: EvalAlpacaOptions) => {
      const { alpacaResult } = await import('./eval-alpaca-result.ts');
      process.stdout.write(`${await alpacaResult(options)}\n`);
    });
}
