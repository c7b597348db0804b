/**
 * @file Runs the missing runs of a benchmark with a language model, each in a process of its own, as a sweep does. A
 * finished run is measured and its numbers are kept. Its folder is deleted, because seed and recipe make the same run
 * again.
 */
import { rmSync } from 'node:fs';
import { SelmError, SweepError } from '../../errors.ts';
import { startRun } from '../../sweep/process.ts';
import { type RunEnd, runAll } from '../../sweep/schedule.ts';
import { standingOf } from '../../sweep/standing.ts';
import { type CellResults, readResults, writeResults } from '../cells.ts';
import type { LanguageGrid } from './grid.ts';
import { measureRun } from './measure.ts';
import { type LanguageRun, languageRuns } from './plan.ts';

export interface LanguageBenchOptions {
  /** Processes at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  /** Told after every run: runs that are done, of all. */
  readonly progress: (done: number, total: number) => void;
  /** Keep the folders of finished runs. @default false */
  readonly keepRuns?: boolean | undefined;
}

/**
 * Runs every world, method and seed that has no result, and returns how many it ran. Stopped, every run saves at its next safe point, and
 * goes on from there.
 *
 * @throws SweepError SWEEP_RUNS_FAILED after the others, where a run failed
 */
export async function runLanguageBench(
  grid: LanguageGrid,
  { parallel, signal, progress, keepRuns = false }: LanguageBenchOptions,
): Promise<number> {
  const runs = languageRuns(grid);
  const open = runs.filter((run) => resultOf(grid, run) === null);
  const byOutput = new Map(open.map((run) => [run.recipe.output, run]));
  let done = runs.length - open.length;
  const finish = async (run: LanguageRun, end: RunEnd): Promise<RunEnd> => {
    if (end.kind !== 'finished' && end.kind !== 'already-finished') return end;
    try {
      const result = await measureRun(run, grid);
      const { seed, method, key } = run;
      writeResults(grid.output, { world: run.world.name, seed }, { [method]: { key, result } });
      if (!keepRuns) rmSync(run.recipe.output, { recursive: true, force: true });
      progress(++done, runs.length);
      return end;
    } catch (error) {
      if (!(error instanceof SelmError)) throw error;
      return { kind: 'failed', code: error.code, message: error.message };
    }
  };
  const planned = open.map(({ method, seed, recipe }) => ({ arm: method, seed, recipe }));
  const ends = await runAll(planned, {
    parallel,
    signal,
    // A finished run without a result is measured all the same: it starts, finds nothing to do, and ends.
    standing: ({ recipe }) => (standingOf(recipe).kind === 'new' ? 'new' : 'begun'),
    start: (each, watch) => {
      const run = byOutput.get(each.recipe.output);
      if (run === undefined) throw new Error('Every planned run is one of the open ones');
      const { ended, stop } = startRun(each, watch, { acceptChanges: false });
      return { stop, ended: ended.then((end) => finish(run, end)) };
    },
    watch: () => {},
  });
  throwFailures(open, ends);
  return ends.filter(({ kind }) => kind === 'finished').length;
}

/** The results of all methods in a world with a seed, as far as they are there. */
export function languageResults(grid: LanguageGrid): Map<string, CellResults[]> {
  const results = new Map(
    grid.worlds.map(({ name }) => [name, grid.seeds.map((): Record<string, CellResults[string]> => ({}))]),
  );
  for (const run of languageRuns(grid)) {
    const result = resultOf(grid, run);
    const cell = results.get(run.world.name)?.[grid.seeds.indexOf(run.seed)];
    if (result !== null && cell !== undefined) cell[run.method] = result;
  }
  return results;
}

function resultOf(grid: LanguageGrid, { world, seed, method, key }: LanguageRun): CellResults[string] | null {
  const stored = readResults(grid.output, { world: world.name, seed })[method];
  return stored?.key === key ? stored.result : null;
}

function throwFailures(runs: readonly LanguageRun[], ends: readonly RunEnd[]): void {
  const failed = ends.flatMap((end, index) => {
    const run = runs[index];
    return end.kind === 'failed' && run !== undefined ? [{ ...end, run }] : [];
  });
  const [first] = failed;
  if (first === undefined) return;
  const { world, method, seed } = first.run;
  throw new SweepError(
    'SWEEP_RUNS_FAILED',
    `${failed.length} of ${runs.length} runs failed; method "${method}" in world "${world.name}" with seed ${seed}: ${first.message}`,
    { details: { failed: failed.length, code: first.code } },
  );
}
