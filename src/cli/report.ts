/**
 * @file `selm report RUN` writes the report of a run at any time: while it runs, after it was stopped, and also without
 * held-out prompts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { RunError } from '../errors.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { collectReport } from '../report/collect.ts';
import { summariseReport } from '../report/summary.ts';
import { reportJson, writeReport } from '../report/write.ts';
import { readRunConfig } from '../store/run-config.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

export interface ReportOptions {
  output?: string;
  json?: true;
}

/** The command. */
export function reportCommand(): Command {
  return new Command('report')
    .description('write the report of a run as it is now; a run in progress is not disturbed')
    .argument('<run>', RUN_ARGUMENT)
    .option(
      '--output <file>',
      'where to write it, .md and .json beside it (default: report.html in the folder of the run)',
    )
    .option('--json', 'print what the report shows as JSON, with its estimates under numbers, and write no file')
    .addHelpText('after', '\nExamples:\n  $ selm report quickstart\n  $ selm report runs/my --output now.html')
    .action((run: string, options: ReportOptions) => {
      process.stdout.write(`${reportText(run, options)}\n`);
    });
}

/** Writes the report and returns what the command prints. Throws RunError. */
export function reportText(name: string, { output, json }: ReportOptions): string {
  const { path, recipe } = recipeOfRun(name);
  const data = collectReport(recipe, twinOfRun(path));
  if (json) return reportJson(data);
  const file = output ?? join(path, 'report.html');
  const [first, ...others] = writeReport(file, data).reverse();
  return [summariseReport(data), '', `Report   ${first}`, ...others.map((path) => `         ${path}`)].join('\n');
}

/** The recipe of a run, which may lie elsewhere now than it was made. */
function recipeOfRun(name: string): { path: string; recipe: Recipe } {
  using run = openRunArgument(name);
  const recipe: Recipe | SftRecipe = run.config.recipe;
  if (!('ranker' in recipe)) {
    throw new RunError(
      'REPORT_OF_FINE_TUNING',
      `Cannot report on "${name}": it is a supervised fine-tuning, in which nothing is ranked: \`selm metrics\` shows its steps`,
    );
  }
  return { path: run.path, recipe: { ...recipe, output: run.path } };
}

/** The recipe of the alpha = 0 twin inside a run, or null when there is none yet. */
function twinOfRun(path: string): Recipe | null {
  const twin = join(path, 'twin');
  if (!existsSync(join(twin, 'run.db'))) return null;
  const config = readRunConfig(twin);
  return config === null ? null : { ...config.recipe, output: twin };
}
