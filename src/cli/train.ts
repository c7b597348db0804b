/**
 * @file `selm train recipe.yaml`: the whole loop, from prompts to a model in Hugging Face layout. The loop itself is
 * src/loop/iteration.ts. Stop it anywhere: the same command goes on, to the same bytes.
 */
import { Command } from 'commander';
import { InterruptedError } from '../errors.ts';
import type { Watch } from '../loop/events.ts';
import { loadRecipe } from '../recipe/load.ts';
import type { Recipe } from '../recipe/schema.ts';
import { describeOutcome, describeRecipe } from './describe.ts';
import { describeForecast } from './dry-run.ts';
import { selmCommand } from './format.ts';
import { wholeNumber } from './numbers.ts';
import { openProgress, tolerant } from './progress.ts';
import { listenForStop } from './signals.ts';

export interface TrainOptions {
  set: string[];
  json?: true;
  quiet?: true;
  dryRun?: true;
  rows?: number;
}

/** The command. */
export function trainCommand(): Command {
  return new Command('train')
    .description(
      'run a recipe: sample, rank, pair and train for its iterations; run it again to go on where it stopped',
    )
    .argument('<recipe>', 'recipe file (YAML); `selm init` writes one')
    .option('--set <key.path=value>', 'change a setting of the recipe for this run; may be repeated', collect, [])
    .option('--dry-run', 'print slices, steps, learning rates, and estimates of tokens, memory and time; run nothing')
    .option('--rows <number>', 'with --dry-run: rows of data that are not on this machine', wholeNumber(1))
    .option('--json', 'print every event as a line of JSON on stdout')
    .option('--quiet', 'print warnings and the result only')
    .addHelpText(
      'after',
      `
Ctrl-C (or SIGTERM) once: finish the current step, save, print the command that goes on; exit code 130 (143).
Twice: stop at once; what was finished is safe all the same.

Example:
  $ selm train recipes/quickstart.yaml --set iterations=1 --set name=first-try`,
    )
    .action(train);
}

/** Runs a recipe file. Progress goes to stderr, the result to stdout. */
export async function train(recipePath: string, options: TrainOptions): Promise<void> {
  const recipe = loadRecipe(recipePath, { overrides: options.set });
  if (options.dryRun) return dryRun(recipe, options);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  if (options.json === undefined && options.quiet === undefined) say(describeRecipe(recipe));

  const progress = openProgress(process.stderr, { run: recipe.name, iterations: recipe.iterations });
  const stop = listenForStop((name) => {
    progress.close();
    say(`${name}: finishing the current step and saving; press Ctrl-C again to stop at once`);
  });
  // Loaded here, so that a mistake in the recipe is told before the engine is opened.
  const { runRecipe } = await import('../loop/run.ts');
  try {
    const outcome = await runRecipe(recipe, {
      watch: tolerant(watcherFor(options, progress.watch), say),
      signal: stop.signal,
    });
    progress.close();
    const result = options.json
      ? JSON.stringify({ kind: 'run-finished', ...outcome })
      : describeOutcome(recipe, outcome);
    process.stdout.write(`${result}\n`);
  } catch (error) {
    progress.close();
    if (!(error instanceof InterruptedError) || stop.received === null) throw error;
    const resume = selmCommand(['train', recipePath, ...options.set.flatMap((text) => ['--set', text])]);
    if (options.json)
      process.stdout.write(`${JSON.stringify({ kind: 'run-stopped', reason: error.message, resume })}\n`);
    else say(`${error.message}\nEverything finished is saved in ${recipe.output}; go on with:\n  ${resume}`);
    process.exitCode = stop.received.exitCode;
  } finally {
    stop.close();
  }
}

/** Prints the forecast of a recipe. */
async function dryRun(recipe: Recipe, { rows = null, json }: { rows?: number | null; json?: true }): Promise<void> {
  const { forecast } = await import('../forecast/forecast.ts');
  const { measureRates } = await import('../forecast/rates.ts');
  const result = await forecast(recipe, { rows, rates: async () => measureRates(recipe.training.dtype) });
  process.stdout.write(`${json ? JSON.stringify(result) : describeForecast(recipe, result)}\n`);
}

function watcherFor({ json, quiet }: TrainOptions, draw: Watch): Watch {
  if (json) return (event) => void process.stdout.write(`${JSON.stringify(event)}\n`);
  if (quiet) return (event) => (event.kind === 'warning' ? draw(event) : undefined);
  return draw;
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
