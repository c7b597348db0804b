/**
 * @file `selm train recipe.yaml`: the whole loop, from prompts to a model in Hugging Face layout. The loop itself is
 * src/loop/iteration.ts. Stop it anywhere: the same command goes on, to the same bytes.
 */
import { Command } from 'commander';
import { deviceWishOf } from '../recipe/device-wish.ts';
import { loadRecipe } from '../recipe/load.ts';
import type { Recipe } from '../recipe/schema.ts';
import { askGpus, cardOf, type Gpu } from '../torch/gpus.ts';
import { describeOutcome, describeRecipe } from './describe.ts';
import { deviceHere } from './device.ts';
import { describeForecast } from './dry-run.ts';
import { type LongRunOptions, SIGNALS_HELP, withRunOptions } from './long-run.ts';
import { wholeNumber } from './numbers.ts';
import { type RanksOptions, ranksOption, runOnRanks } from './ranks.ts';

export interface TrainOptions extends LongRunOptions, RanksOptions {
  dryRun?: true;
  rows?: number;
  /** False with --no-wait. */
  wait?: boolean;
}

/** The command. */
export function trainCommand(): Command {
  const command = new Command('train')
    .description(
      'run a recipe: sample, rank, pair and train for its iterations; run it again to continue where it stopped',
    )
    .argument('<recipe>', 'recipe file (YAML); `selm init` writes one')
    .option('--dry-run', 'print slices, steps, learning rates, and estimates of tokens, memory and time; run nothing')
    .addOption(ranksOption())
    .option('--no-wait', 'when people rank: exit with code 0 once questions wait for them; the same command continues')
    .option('--rows <number>', 'with --dry-run: rows of data that are not on this machine', wholeNumber(1));
  return withRunOptions(command)
    .addHelpText(
      'after',
      `${SIGNALS_HELP}
Example:
  $ selm train recipes/quickstart.yaml --set iterations=1 --set name=first-try`,
    )
    .action(train);
}

/** Runs a recipe file. Progress goes to stderr, the result to stdout. */
export async function train(recipePath: string, options: TrainOptions): Promise<void> {
  const recipe = loadRecipe(recipePath, { overrides: options.set });
  if (options.dryRun) return dryRun(recipe, options);
  const { acceptChanges, wait: waits } = options;
  await runOnRanks(
    {
      command: ['train', recipePath],
      recipe,
      data: [...recipe.data.train, ...(recipe.sft?.data.train ?? [])],
      iterations: recipe.iterations,
      introduction: describeRecipe(recipe),
      // Loaded here, so that a mistake in the recipe is told before the engine is opened.
      work: async (watching, team) =>
        (await import('../loop/run.ts')).runRecipe(recipe, { ...watching, team, acceptChanges, waits }),
      describe: (outcome) => describeOutcome(recipe, outcome),
    },
    options,
  );
}

/** The card that a recipe names, where this machine has it. */
function firstCard(device: string): Gpu | null {
  const answer = askGpus();
  return answer.kind === 'cards' ? cardOf(device === 'auto' ? 'cuda' : device, answer.cards) : null;
}

/** Prints the forecast of a recipe. */
async function dryRun(
  recipe: Recipe,
  { rows, ranks = 1, json }: Pick<TrainOptions, 'rows' | 'ranks' | 'json'>,
): Promise<void> {
  const { forecast } = await import('../forecast/forecast.ts');
  const { measureRates } = await import('../forecast/rates.ts');
  const card = recipe.device === 'cpu' ? null : firstCard(recipe.device);
  const result = await forecast(recipe, {
    rows: rows ?? null,
    ranks,
    cardBytes: card?.memoryBytes ?? null,
    rates: (facts) => measureRates(recipe, facts),
  });
  const says = await deviceHere(deviceWishOf(recipe));
  process.stdout.write(`${json ? JSON.stringify(result) : describeForecast(recipe, result, { card, says })}\n`);
}
