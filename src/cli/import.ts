/** @file `selm import trl CONFIG`: a configuration of TRL as a recipe, and a list of what has no equivalent. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { shownValue } from '../errors.ts';
import { selmCommand } from '../files/command-line.ts';
import { fileError } from '../files/fs.ts';
import { type ImportedRecipe, importTrl, TRAINERS, type Trainer } from '../recipe/import-trl.ts';
import { parseRecipe, parseSftRecipe } from '../recipe/load.ts';
import { parseSource } from '../recipe/source.ts';
import { REWARD_TEMPLATE } from './recipe-template.ts';

interface ImportOptions {
  trainer?: Trainer;
  accelerate?: string;
  output: string;
}

/** The command and those below it. */
export function importCommand(): Command {
  const trl = new Command('trl')
    .description('write a recipe from a configuration of TRL (DPO, KTO, SFT), and list what has no equivalent')
    .argument('<config>', 'YAML or JSON, as `trl dpo --config` takes it')
    .addOption(new Option('--trainer <name>', 'which trainer it is of (default: by its fields)').choices(TRAINERS))
    .option('--accelerate <file>', "accelerate's configuration: number of processes and precision")
    .option('-o, --output <file>', 'recipe to write; an existing file is left alone', 'recipe.yaml')
    .addHelpText('after', '\nExample:\n  $ selm import trl dpo.yaml --accelerate accelerate.yaml -o my.yaml')
    .action(importConfig);
  return new Command('import').description('turn the configuration of another program into a recipe').addCommand(trl);
}

function importConfig(config: string, { trainer, accelerate, output }: ImportOptions): void {
  const imported = importTrl(readYaml(config), {
    trainer: trainer ?? null,
    accelerate: accelerate === undefined ? {} : readYaml(accelerate),
    exists: existsSync,
  });
  // What is written is known to load.
  const parse = imported.trainer === 'dpo' ? parseRecipe : parseSftRecipe;
  parse(imported.recipe);
  write(output, textOf(imported, config, output));
  const needsReward = imported.trainer === 'dpo' && !existsSync('reward.ts');
  if (needsReward) write('reward.ts', REWARD_TEMPLATE);
  console.log(summaryOf(imported, output, needsReward));
}

function readYaml(path: string): unknown {
  try {
    return parseSource(readFileSync(path, 'utf8'), path).value;
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall === undefined
      ? error
      : fileError(error, { action: 'read configuration', path });
  }
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' });
  } catch (error) {
    throw fileError(error, { action: 'write', path });
  }
}

function textOf({ trainer, recipe, unmatched }: ImportedRecipe, config: string, output: string): string {
  const command = trainer === 'dpo' ? 'train' : 'sft';
  const listed = unmatched.map(({ field, value, text }) => `#   ${field}: ${shownValue(value, 60)}: ${text}`);
  const head = [
    `# yaml-language-server: $schema=${schemaOf(trainer)}`,
    `# selm ${command} ${output}`,
    '#',
    `# From ${config}.`,
    ...(listed.length === 0 ? [] : ['# Without an equivalent:', ...listed]),
  ];
  return `${head.join('\n')}\n${stringify(recipe, { lineWidth: 0 })}`;
}

function schemaOf(trainer: Trainer): string {
  return `./node_modules/selm/recipes/${trainer === 'dpo' ? 'recipe' : 'sft-recipe'}.schema.json`;
}

function summaryOf({ trainer, unmatched, needless }: ImportedRecipe, output: string, wroteReward: boolean): string {
  const listed = unmatched.map(({ field, value, text }) => `  ${field}: ${shownValue(value, 60)}: ${text}`);
  return [
    `Wrote   ${output}${wroteReward ? ' and reward.ts, which scores held-out answers: fill it in' : ''}`,
    ...(needless.length === 0 ? [] : [`Needless here: ${needless.join(', ')}`]),
    ...(listed.length === 0 ? ['Every field has its place.'] : ['Without an equivalent:', ...listed]),
    '',
    'Next:',
    trainer === 'dpo' ? `  ${selmCommand(['train', output, '--dry-run'])}` : `  ${selmCommand(['sft', output])}`,
  ].join('\n');
}
