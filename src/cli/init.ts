/** @file `selm init [FILE]`: writes a recipe, and a reward module to fill in, from four answers. Overwrites nothing. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { parse } from 'yaml';
import { FileError } from '../errors.ts';
import { errorCode, fileError } from '../files/fs.ts';
import { parseRecipe } from '../recipe/load.ts';
import { UsageError } from './errors.ts';
import { selmCommand, shorterPath } from './format.ts';
import { askMissing, type InitAnswers, inspectData } from './init-questions.ts';
import { wholeNumber } from './numbers.ts';
import { REWARD_TEMPLATE, recipeText } from './recipe-template.ts';

export type InitOptions = Partial<InitAnswers> & { iterations: number; yes?: true };

/** The command. */
export function initCommand(): Command {
  return new Command('init')
    .description('write a commented recipe, and a reward module to fill in; asks for what is not given')
    .argument('[file]', 'recipe to write', 'recipe.yaml')
    .option('--model <folder>', 'model to start from, in Hugging Face layout')
    .option(
      '--data <file>',
      'JSONL (also .gz, .zst) or Parquet: prompts, or prompts with a chosen and a rejected response',
    )
    .option('--reward <file>', 'module that scores responses; written when it is not there (default: reward.ts)')
    .option('--name <name>', 'name of the run (default: from the name of the recipe)')
    .option('--iterations <n>', 'times to sample, rank and train', wholeNumber(1), 3)
    .option('--yes', 'ask nothing: take the defaults')
    .addHelpText(
      'after',
      '\nExample:\n  $ selm init my.yaml --model ./model --data prompts.jsonl --reward reward.ts --yes',
    )
    .action(init);
}

/** Asks for what is missing, checks the recipe, writes it. Throws before anything is written when it cannot be used. */
export async function init(file: string, options: InitOptions): Promise<void> {
  refuseExisting(file);
  const name = nameFrom(file);
  const answers = await askMissing(options, { defaults: { reward: 'reward.ts', name }, ask: mayAsk(options) });

  const folder = dirname(resolve(file));
  const fromRecipe = (path: string): string => relative(folder, resolve(path)) || '.';
  const { rows, count } = await inspectData(answers.data);
  const text = recipeText({
    name: answers.name,
    model: fromRecipe(answers.model),
    data: fromRecipe(answers.data),
    reward: fromRecipe(answers.reward),
    iterations: options.iterations,
    rows,
    batchSize: batchSizeFor(count / options.iterations),
    command: selmCommand(['train', file]),
  });
  parseRecipe(parse(text), { directory: folder });

  if (writeNew(answers.reward, REWARD_TEMPLATE))
    console.log(`Wrote ${answers.reward}: say there what a better response is`);
  else console.log(`Kept ${answers.reward} as it is`);
  if (!writeNew(file, text)) refuseExisting(file);
  console.log(`Wrote ${file}\n\nNext:\n  ${selmCommand(['train', shorterPath(resolve(file))])}`);
}

function mayAsk({ yes }: InitOptions): 'terminal' | 'never' {
  return yes === undefined && process.stdin.isTTY === true ? 'terminal' : 'never';
}

/** `my recipe.yaml` gives `my-recipe`. */
function nameFrom(file: string): string {
  const name = basename(file, extname(file))
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '');
  return name === '' || name === 'recipe' ? 'first-run' : name.slice(0, 64);
}

/** The paper's 128 pairs a step, or for a slice too small for 16 such steps the power of two that gives about 16. */
export function batchSizeFor(rowsInSlice: number): number {
  const power = 2 ** Math.floor(Math.log2(Math.max(1, rowsInSlice / 16)));
  return Math.min(128, power);
}

function refuseExisting(file: string): void {
  if (!existsSync(file)) return;
  throw new FileError(
    'FILE_EXISTS',
    `Cannot write recipe "${file}": it is there already: give another name, or delete it`,
    {
      details: { path: file },
    },
  );
}

/** Writes a file that is not there; false when it is. */
function writeNew(path: string, text: string): boolean {
  if (extname(path) === '') throw new UsageError(`Cannot write "${path}": it needs an extension, such as .yaml or .ts`);
  try {
    mkdirSync(dirname(resolve(path)), { recursive: true });
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw fileError(error, { action: 'write', path });
  }
}
