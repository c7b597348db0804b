/**
 * @file `selm compare RUN RUN...` puts the measurements of several runs side by side and tests their differences. The
 * folder of a sweep stands for all of its arms. `label=RUN` names a run, and runs under one label are seeds of one arm.
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { RunError } from '../errors.ts';
import { readJson } from '../evaluate/records.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { shorterPath } from '../files/command-line.ts';
import { makeFolder } from '../files/fs.ts';
import { nearest } from '../recipe/nearest.ts';
import { type ArmSource, type ComparisonSource, collectComparison } from '../report/comparison/collect.ts';
import { comparisonJson, comparisonMarkdown, renderComparison } from '../report/comparison/comparison.ts';
import type { ComparisonData } from '../report/comparison/comparison-data.ts';
import { iterationsOf } from '../report/comparison/numbers.ts';
import { type PlacedResults, readModelResults } from '../report/comparison/result-files.ts';
import { summariseComparison } from '../report/comparison/summary.ts';
import { readRunConfig } from '../store/run-config.ts';
import { readSweepRecord, type SweepRecord } from '../sweep/record.ts';
import { implicitRewardsOf } from './compare-pairs.ts';
import { UsageError } from './errors.ts';
import { wholeNumber } from './numbers.ts';
import { openRunArgument } from './run-argument.ts';

export interface CompareOptions {
  baseline?: string;
  output?: string;
  title?: string;
  pairs?: string;
  pairsLimit: number;
  results: string[];
  json?: true;
}

/** The command. */
export function compareCommand(): Command {
  return new Command('compare')
    .description('compare runs: tables, figures and tests, as one HTML file, as Markdown and as JSON')
    .argument('<runs...>', 'folders of runs, or their names under runs/, or of sweeps; each may be label=RUN')
    .option('--baseline <arm>', 'what the others are compared with (default: the first, or what the sweep says)')
    .option('--output <folder>', 'where to write comparison.html, .md and .json (default: the sweep, or here)')
    .option('--title <text>', 'heading of the comparison')
    .option('--pairs <file>', 'preference rows to score under the last models: differences of their implicit rewards')
    .option('--pairs-limit <number>', 'use only the first pairs', wholeNumber(1), 256)
    .option('--results <arm=file>', 'what selm eval ... --json printed of its model; may be repeated', collect, [])
    .option('--json', 'print the comparison as JSON and write no file')
    .addHelpText(
      'after',
      `
Runs under one label are seeds of one arm: differences are then paired by prompt and by seed.

Examples:
  $ selm compare runs/alpha
  $ selm compare selm=runs/a-1 selm=runs/a-2 dpo=runs/b-1 dpo=runs/b-2 --baseline dpo
  $ selm compare runs/alpha --pairs held-out-pairs.jsonl`,
    )
    .action(async (runs: string[], options: CompareOptions) => {
      process.stdout.write(`${await compareText(runs, options)}\n`);
    });
}

/** Writes the comparison and returns what the command prints. Throws RunError. */
export async function compareText(
  runs: readonly string[],
  { json, output, pairs, pairsLimit, results, ...options }: CompareOptions,
): Promise<string> {
  const { source, folder } = sourceOf(runs, options);
  const collected = collectComparison(source);
  const implicitRewards =
    pairs === undefined ? [] : await implicitRewardsOf(collected, { file: resolve(pairs), limit: pairsLimit });
  const data = { ...collected, implicitRewards, results: results.map((each) => placedResults(each, collected)) };
  return json ? comparisonJson(data) : `${summariseComparison(data)}\n\n${writeComparison(data, output ?? folder)}`;
}

/** Writes the three files, and says where. */
export function writeComparison(data: ComparisonData, folder: string): string {
  makeFolder(folder, { action: 'create the folder of the comparison' });
  const path = (ending: string): string => join(folder, `comparison.${ending}`);
  writeFileAtomic(path('json'), `${comparisonJson(data)}\n`);
  writeFileAtomic(path('md'), comparisonMarkdown(data));
  writeFileAtomic(path('html'), renderComparison(data));
  return `Comparison   ${shorterPath(path('html'))} (and .md, .json)`;
}

/** `base=FILE`, `ARM=FILE` for the last model of an arm, `ARM/ITERATION=FILE` for another. */
function placedResults(argument: string, { arms }: ComparisonData): PlacedResults {
  const equals = argument.lastIndexOf('=');
  const [place, file] = [argument.slice(0, Math.max(0, equals)), argument.slice(equals + 1)];
  const [, name = place, iteration] = /^(.*?)(?:\/(\d+))?$/.exec(place) ?? [];
  const results = readModelResults(readJson(file), file);
  if (name === 'base') return { ...results, arm: null, iteration: 0 };
  const arm = arms.find((each) => each.name === name || each.label === name);
  if (arm === undefined) {
    const names = ['base', ...arms.map((each) => each.name)];
    throw new UsageError(
      `Cannot tell which model --results ${argument} is of: write one of ${names.slice(0, 20).join(', ')}, then = and the file; ARM/2=FILE is of iteration 2`,
    );
  }
  return { ...results, arm: arm.name, iteration: Number(iteration ?? iterationsOf(arm).at(-1) ?? 0) };
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

/** The arms of a sweep as it was kept. */
export function sweepSource({ title, baseline, arms }: SweepRecord): ComparisonSource {
  return { title, baseline, arms };
}

function sourceOf(
  runs: readonly string[],
  { baseline = null, title }: { baseline?: string | null; title?: string },
): { source: ComparisonSource; folder: string } {
  const arms: ArmSource[] = [];
  let sweep: { record: SweepRecord; folder: string } | null = null;
  for (const argument of runs) {
    const { label, place } = labelled(argument);
    const found = sweepOf(place);
    if (found !== null && label !== null)
      throw new UsageError(`Cannot call a whole sweep "${label}" (${argument}): give its folder alone, or its runs`);
    if (found !== null) {
      sweep ??= found;
      arms.push(...found.record.arms);
    } else addRun(arms, label, place);
  }
  const alone = runs.length === 1 ? sweep : null;
  const source: ComparisonSource = {
    title: title ?? alone?.record.title ?? `Comparison of ${arms.map((arm) => arm.label).join(', ')}`.slice(0, 120),
    baseline: baseline === null ? (sweep?.record.baseline ?? null) : armNamed(arms, baseline),
    arms,
  };
  return { source, folder: alone?.folder ?? '.' };
}

/** `label=RUN`; an equals sign inside of an existing path is none. */
function labelled(argument: string): { label: string | null; place: string } {
  const equals = argument.indexOf('=');
  if (equals <= 0 || existsSync(argument)) return { label: null, place: argument };
  return { label: argument.slice(0, equals), place: argument.slice(equals + 1) };
}

function sweepOf(place: string): { record: SweepRecord; folder: string } | null {
  for (const folder of [resolve(place), resolve('runs', place)]) {
    const record = readSweepRecord(folder);
    if (record !== null) return { record, folder };
  }
  return null;
}

/** Adds a run to the arm of its label, and its alpha = 0 twin to an arm of its own. */
function addRun(arms: ArmSource[], label: string | null, place: string): void {
  using run = openRunArgument(place);
  const { path, config } = run;
  if (!('ranker' in config.recipe)) {
    throw new RunError(
      'COMPARE_FINE_TUNING',
      `Cannot compare "${place}": it is a supervised fine-tuning, in which nothing is ranked or measured`,
      { details: { run: place } },
    );
  }
  const name = label ?? basename(path);
  addTo(arms, name, { seed: config.recipe.seed, path });
  const twin = join(path, 'twin');
  const twinConfig = existsSync(join(twin, 'run.db')) ? readRunConfig(twin) : null;
  if (twinConfig !== null) addTo(arms, `${name}, alpha = 0 twin`, { seed: twinConfig.recipe.seed, path: twin });
}

function addTo(arms: ArmSource[], name: string, run: { seed: number; path: string }): void {
  const arm = arms.find((each) => each.name === name);
  if (arm === undefined) arms.push({ name, label: name, settings: {}, grid: null, runs: [run] });
  else if (arm.runs.some(({ seed }) => seed === run.seed)) {
    throw new UsageError(
      `Cannot compare two runs of seed ${run.seed} as one arm "${name}": give them different labels, as in a=RUN b=RUN`,
    );
  } else arm.runs.push(run);
}

function armNamed(arms: readonly ArmSource[], baseline: string): string {
  const found = arms.find(({ name, label }) => name === baseline || label === baseline);
  if (found !== undefined) return found.name;
  const names = arms.map(({ name }) => name);
  const near = nearest(baseline, names);
  throw new UsageError(
    `Cannot compare with "${baseline}": it is none of the arms: ${near === null ? `they are ${names.slice(0, 20).join(', ')}` : `did you mean "${near}"`}`,
  );
}
