/**
 * @file `selm sweep FILE` runs a recipe with several settings and seeds, one run after another or several at a time,
 * and compares them at the end. Run it again: finished runs cost nothing, and stopped ones continue.
 */
import { Command } from 'commander';
import { RunError, SweepError } from '../errors.ts';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { loadSweep } from '../recipe/sweep.ts';
import { collectComparison } from '../report/comparison/collect.ts';
import { comparisonJson } from '../report/comparison/comparison.ts';
import { summariseComparison } from '../report/comparison/summary.ts';
import { planSweep, type SweepPlan } from '../sweep/plan.ts';
import { startRun } from '../sweep/process.ts';
import { readSweepRecord, strayRuns, writeSweepRecord } from '../sweep/record.ts';
import { type RunEnd, runAll } from '../sweep/schedule.ts';
import { standingOf } from '../sweep/standing.ts';
import { sweepSource, writeComparison } from './compare.ts';
import { wholeNumber } from './numbers.ts';
import { listenForStop } from './signals.ts';
import { dryRunSweep } from './sweep-dry-run.ts';
import { openSweepProgress } from './sweep-progress.ts';

export interface SweepOptions {
  parallel?: number;
  dryRun?: true;
  acceptChanges?: true;
  json?: true;
  quiet?: true;
}

/** The command. */
export function sweepCommand(): Command {
  return new Command('sweep')
    .description('run a recipe with several settings and seeds, and compare; run it again to continue where it stopped')
    .argument('<file>', 'sweep file (YAML): a recipe, and a grid or a list of arms')
    .option('--parallel <number>', 'runs at the same time (default: what the file says, or 1)', wholeNumber(1))
    .option('--dry-run', 'print what every run will do and roughly cost, and the sum; run nothing')
    .option(
      '--accept-changes',
      'continue runs although their settings or files changed: finished work stays, the rest is redone',
    )
    .option('--json', 'print every event as a line of JSON on stdout')
    .option('--quiet', 'print what failed and the result only')
    .addHelpText(
      'after',
      `
A failed run is reported and does not stop the others; the exit code is then 1. Ctrl-C (or SIGTERM) once: every run stops
at its next safe point and saves; exit code 130 (143). Twice: stop at once.

Example:
  $ selm sweep recipes/sweeps/alpha.yaml --dry-run`,
    )
    .action(sweep);
}

/** Runs a sweep file. Progress goes to stderr, the result to stdout. */
export async function sweep(file: string, options: SweepOptions): Promise<void> {
  const plan = planSweep(loadSweep(file));
  if (options.dryRun) {
    process.stdout.write(`${await dryRunSweep(plan, options)}\n`);
    return;
  }
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  writeSweepRecord(plan);
  if (!options.json && !options.quiet) say(introduction(plan));
  for (const line of strayLines(plan)) say(line);

  const progress = openSweepProgress(process.stderr, { runs: plan.runs, ...options });
  const stop = listenForStop((name) => {
    progress.close();
    say(`${name}: every run stops at its next safe point, and saves; press Ctrl-C again to stop at once`);
  });
  let ends: RunEnd[];
  try {
    ends = await runAll(plan.runs, {
      parallel: options.parallel ?? plan.sweep.parallel,
      signal: stop.signal,
      standing: ({ recipe }) => standingOf(recipe).kind,
      start: (run, watch) => startRun(run, watch, { acceptChanges: options.acceptChanges === true }),
      watch: progress.watch,
    });
  } finally {
    progress.close();
    stop.close();
  }
  if (stop.received !== null) {
    say(
      `Everything finished is saved in ${shorterPath(plan.sweep.output)}; go on with:\n  ${selmCommand(['sweep', file])}`,
    );
    process.exitCode = stop.received.exitCode;
    return;
  }
  process.stdout.write(`${comparisonOf(plan, options)}\n`);
  throwFailures(plan, ends);
}

/** Writes the comparison of what is measured, and says what it found. */
function comparisonOf({ sweep: { output } }: SweepPlan, { json }: SweepOptions): string {
  const record = readSweepRecord(output);
  if (record === null) throw new Error('The record of the sweep was written when it began');
  try {
    const data = collectComparison(sweepSource(record));
    const written = writeComparison(data, output);
    return json ? comparisonJson(data) : `${summariseComparison(data)}\n\n${written}`;
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    return json ? JSON.stringify({ comparison: null, reason: error.message }) : error.message;
  }
}

function introduction({ sweep, arms, runs }: SweepPlan): string {
  const seeds = new Set(runs.map(({ seed }) => seed)).size;
  return `Sweep "${sweep.name}": ${arms.length} arms, ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}, ${runs.length} runs in ${shorterPath(sweep.output)}`;
}

function strayLines(plan: SweepPlan): string[] {
  const strays = strayRuns(plan);
  if (strays.length === 0) return [];
  const shown = strays.slice(0, 5).join(', ');
  const more = strays.length > 5 ? `, and ${strays.length - 5} more` : '';
  return [
    `warning: the folder has ${strays.length === 1 ? 'a run' : `${strays.length} runs`} that the file no longer has; not run and not compared: ${shown}${more}`,
  ];
}

/** The runs that failed, as one error. */
function throwFailures({ sweep, runs }: SweepPlan, ends: readonly RunEnd[]): void {
  const failed = runs.flatMap((run, index) => {
    const end = ends[index];
    return end?.kind === 'failed' ? [{ arm: run.arm, seed: run.seed, code: end.code, message: end.message }] : [];
  });
  if (failed.length === 0) return;
  const lines = failed.map(({ arm, seed, code, message }) => `  ${arm}, seed ${seed}: ${message} (${code})`);
  throw new SweepError(
    'SWEEP_RUNS_FAILED',
    `${failed.length} of the ${runs.length} runs of sweep "${sweep.name}" failed; the others are finished. Fix the cause and run the same command again:\n${lines.join('\n')}`,
    { details: { sweep: sweep.name, failed } },
  );
}
