/** @file `selm eval` measures a model, or scores what judges said of it, by the protocols of the field. */
import { Command, Option } from 'commander';
import { deviceOption } from '../device.ts';
import { UsageError } from '../errors.ts';
import { wholeNumber } from '../numbers.ts';
import { type RanksOptions, ranksOption } from '../ranks.ts';
import { evalAlpacaCommand } from './alpaca.ts';
import { evalEqBenchCommand } from './eq-bench.ts';
import type { EvalModelOptions } from './model.ts';
import { evalMtBenchCommand } from './mt-bench.ts';
import { watchOnRanks } from './stop.ts';

/** The command and those below it. */
export function evalCommand(): Command {
  return (
    new Command('eval')
      .description('measure a model on public benchmarks, or compute scores from existing results')
      // Options of the commands below are theirs, though some have the same names.
      .enablePositionalOptions()
      .argument('<model>', 'model folder in Hugging Face layout, or hub:owner/name')
      .option('--on <benchmarks>', 'names with commas: gsm8k_cot,hellaswag,arc_challenge ...')
      .option('--limit <n>', 'only the first rows of each (of mmlu: of each subject)', wholeNumber(1))
      .option(
        '--shots <n>',
        'examples before each item (default: as each benchmark is usually reported)',
        wholeNumber(0),
      )
      .option('--data <folder>', 'folder with the rows, in one file a split; without it they come from the Hub')
      .addOption(
        new Option('--dtype <type>', 'what likelihoods are computed in')
          .choices(['float32', 'bfloat16'])
          .default('float32'),
      )
      .addOption(deviceOption())
      .option('--batch-tokens <n>', 'tokens that are scored at once', wholeNumber(1), 4096)
      .option('--batch-size <n>', 'answers that are generated at once', wholeNumber(1), 32)
      .option('--store <file>', "where answers are kept (default: evaluations.db in selm's cache folder)")
      .addOption(ranksOption())
      .option('--items <file>', 'also write a line of JSON an item: log-likelihoods or text, and scores')
      .option('--json', 'one JSON object')
      .addCommand(evalAlpacaCommand())
      .addCommand(evalMtBenchCommand())
      .addCommand(evalEqBenchCommand())
      .addHelpText(
        'after',
        `
Benchmarks: gsm8k_cot, gsm8k, hellaswag, arc_challenge, truthfulqa_mc2, truthfulqa_mc1, eq_bench, openbookqa,
mmlu, ifeval.
Names, examples and metrics are those of lm-evaluation-harness. Answers are kept: asking again costs nothing.

Example:
  $ selm eval ./model --on hellaswag,arc_challenge --limit 200`,
      )
      .action(evaluate)
  );
}

async function evaluate(
  model: string,
  { on, ...options }: Partial<Pick<EvalModelOptions, 'on'>> & Omit<EvalModelOptions, 'on'> & RanksOptions,
): Promise<void> {
  if (on === undefined) throw new UsageError('Nothing to evaluate on: add --on with names of benchmarks');
  // Loaded here: --help and the other commands need no engine.
  const { evalModel } = await import('./model.ts');
  const text = await watchOnRanks({ ...options, on, model }, (listening) =>
    evalModel(model, { ...options, on }, listening),
  );
  if (text !== null) process.stdout.write(`${text}\n`);
}
