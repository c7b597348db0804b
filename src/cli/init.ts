/** @file `selm init [FILE]`: writes a recipe, and a reward module to fill in, from four answers. Overwrites nothing. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, isAbsolute, join, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { parse } from 'yaml';
import { type DataAudit, formatAudit } from '../data/audit.ts';
import type { Columns } from '../data/known-forms.ts';
import { auditFiles, auditFilesFor } from '../data/measure.ts';
import type { RowFault } from '../data/model-rows.ts';
import { FileError, InterruptedError } from '../errors.ts';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { errorCode, fileError } from '../files/fs.ts';
import { packageRoot } from '../files/package-root.ts';
import { parameterCount } from '../forecast/cost.ts';
import { isHubName } from '../hub/name.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { readModelConfig } from '../model/read-config.ts';
import { parseRecipe } from '../recipe/load.ts';
import { columnsOption } from './columns.ts';
import { UsageError } from './errors.ts';
import { askMissing, type InitAnswers } from './init-questions.ts';
import { wholeNumber } from './numbers.ts';
import { learningRateFor, REWARD_TEMPLATE, recipeText } from './recipe-template.ts';

export type InitOptions = Partial<InitAnswers> & { iterations: number; columns?: Columns; yes?: true };

/** The command. */
export function initCommand(): Command {
  return new Command('init')
    .description('write a commented recipe, and a reward module to fill in; asks for what is not given')
    .argument('[file]', 'recipe to write', 'recipe.yaml')
    .option('--model <model>', 'model to start from: a folder in Hugging Face layout, or hub:owner/name')
    .option(
      '--data <file>',
      'JSON Lines, JSON or CSV (also .gz, .zst), or Parquet: prompts, or prompts with a chosen and a rejected response',
    )
    .option(
      '--reward <file>',
      'module that scores responses, written when it is not there; or a program that does (default: reward.ts)',
    )
    .option('--name <name>', 'name of the run (default: from the name of the recipe)')
    .option('--iterations <n>', 'times to sample, rank and train', wholeNumber(1), 3)
    .addOption(columnsOption())
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
  const answers = await askMissing(options, {
    defaults: { reward: 'reward.ts', name },
    terminal: mayAsk(options) ? { input: process.stdin, output: process.stderr } : null,
  }).catch((error: unknown) => {
    if (!(error instanceof InterruptedError)) throw error;
    console.error('\nStopped: nothing was written');
    process.exitCode = 130;
    return null;
  });
  if (answers === null) return;

  const folder = dirname(resolve(file));
  const { iterations, columns = {} } = options;
  const { audit, parameters } = await lookAt(answers, columns);
  console.log(`${formatAudit(audit)}\n`);
  const holdOut = holdOutFor(audit.used - audit.repeatedPrompts);
  const text = recipeText({
    name: answers.name,
    model: isHubName(answers.model) ? answers.model : pathFrom(folder, answers.model),
    data: pathFrom(folder, answers.data),
    reward: pathFrom(folder, answers.reward),
    iterations,
    rows: audit.promptsAlone < audit.used ? 'pairs' : 'prompts',
    columns,
    badRows: badRowsText(audit),
    holdOut,
    batchSize: batchSizeFor((audit.used - holdOut) / iterations),
    learningRate: learningRateFor(parameters),
    command: selmCommand(['train', file]),
    schema: relative(folder, join(packageRoot, 'recipes', 'recipe.schema.json')),
  });
  parseRecipe(parse(text), { directory: folder });

  if (writeNew(answers.reward, REWARD_TEMPLATE))
    console.log(`Wrote ${answers.reward}: say there what a better response is`);
  else console.log(`Kept ${answers.reward} as it is`);
  if (!writeNew(file, text)) refuseExisting(file);
  const train = ['train', shorterPath(resolve(file))];
  const dryRun = selmCommand([...train, '--dry-run']);
  console.log(
    `Wrote ${file}\n\nNext:\n  ${dryRun}   # slices, steps, memory, time; nothing is written\n  ${selmCommand(train)}`,
  );
}

/** What the data hold, by the model's tokenizer where it is on this machine, and how large the model is. */
async function lookAt(
  { model, data }: InitAnswers,
  columns: Columns,
): Promise<{ audit: DataAudit; parameters: number | null }> {
  const faults: RowFault[] = []; // the first, for the message
  const dropped = (fault: RowFault): void => {
    if (faults.length === 0) faults.push(fault);
  };
  const rule = { columns, onBadRow: 'drop', limit: null, dropped } as const;
  const text = { rendering: 'clean', prompts: null, maxLength: 1024, maxPromptLength: 512 } as const;
  const isHere = !isHubName(model);
  const audit = isHere ? await auditFilesFor(model, [data], { ...rule, text }) : await auditFiles([data], rule);
  if (audit.used > 0)
    return { audit, parameters: isHere ? parameterCount(readModelConfig(baseDirectory(model))) : null };
  const [first] = faults;
  const why = first === undefined ? 'it has no rows' : `row ${first.source.line}: ${first.problem}: ${first.detail}`;
  throw new UsageError(
    `Cannot use --data ${JSON.stringify(data)}: none of its ${audit.read} rows can be used; ${why} (--columns prompt=... names it here)`,
  );
}

/** A path as it is to stand in the recipe: as it was typed where it was absolute, else from the recipe's folder. */
function pathFrom(folder: string, path: string): string {
  return isAbsolute(path) ? path : relative(folder, resolve(path)) || '.';
}

/** `3 of 1000 rows (2 no prompt, 1 not JSON)`, or null. */
function badRowsText({ read, used, dropped }: DataAudit): string | null {
  if (read === used) return null;
  const reasons = [...dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  return `${read - used} of ${read} rows (${reasons})`;
}

/** An eighth of the prompts, at most 128; none if that would be a handful, from which nothing follows. */
export function holdOutFor(prompts: number): number {
  const eighth = Math.min(128, Math.floor(prompts / 8));
  return eighth < 16 ? 0 : eighth;
}

function mayAsk({ yes }: InitOptions): boolean {
  return yes === undefined && process.stdin.isTTY === true;
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
    `Cannot write recipe "${file}": it already exists: give another name, or delete it`,
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
