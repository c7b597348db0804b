/**
 * @file `selm sft recipe.yaml`: supervised fine-tuning, the stage before preferences. The work is src/loop/sft.ts. Stop it
 * anywhere: the same command goes on, to the same bytes.
 */
import { Command } from 'commander';
import { loadSftRecipe } from '../recipe/load.ts';
import { describeSftOutcome, describeSftRecipe } from './describe.ts';
import { type LongRunOptions, SIGNALS_HELP, withRunOptions } from './long-run.ts';
import { type RanksOptions, ranksOption, runOnRanks } from './ranks.ts';

/** The command. */
export function sftCommand(): Command {
  const command = new Command('sft')
    .description('fine-tune a model on conversations: loss on the assistant; run it again to continue where it stopped')
    .argument('<recipe>', 'recipe file (YAML): name, seed, model, data, training');
  return withRunOptions(command.addOption(ranksOption()))
    .addHelpText('after', `${SIGNALS_HELP}\nExample:\n  $ selm sft recipes/sft.yaml --set training.epochs=1`)
    .action(sft);
}

/** Runs a recipe file. Progress goes to stderr, the result to stdout. */
export async function sft(recipePath: string, options: LongRunOptions & RanksOptions): Promise<void> {
  const recipe = loadSftRecipe(recipePath, { overrides: options.set });
  const { acceptChanges } = options;
  await runOnRanks(
    {
      command: ['sft', recipePath],
      recipe,
      data: recipe.data.train,
      iterations: 0,
      introduction: describeSftRecipe(recipe),
      // Loaded here, so that a mistake in the recipe is told before the engine is opened.
      work: async (watching, team) =>
        (await import('../loop/sft.ts')).runSft(recipe, { ...watching, team, acceptChanges }),
      describe: describeSftOutcome,
    },
    options,
  );
}
