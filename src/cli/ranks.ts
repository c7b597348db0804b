/**
 * @file A long run on several ranks. Rank 0 prints and can be watched, and the others follow it. The launcher or
 * `--ranks` tells a process its rank. A single process is an ordinary run.
 */
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { Option } from 'commander';
import { RanksError } from '../errors.ts';
import { gpuOf, type Place, placeOf } from '../ranks/place.ts';
import type { Team } from '../ranks/team.ts';
import type { Watch } from '../store/events.ts';
import { type LongRun, type LongRunOptions, runWatched } from './long-run.ts';
import { wholeNumber } from './numbers.ts';

export interface RanksOptions {
  ranks?: number;
}

/** The option, where no launcher starts the ranks. */
export function ranksOption(): Option {
  return new Option(
    '--ranks <number>',
    'share the work among this many processes on this machine (docs/scale.md); a launcher such as torchrun needs no option',
  ).argParser(wholeNumber(1));
}

/** A long run whose work a team does. */
export interface RankedRun<Outcome extends object> extends Omit<LongRun<Outcome>, 'work' | 'recipe'> {
  recipe: { name: string; output: string; threads: number | null; device: string; model: string };
  /** What it trains on: files, or names on the Hub. */
  data: readonly string[];
  work(watching: { watch: Watch; signal: AbortSignal }, team: Team): Promise<Outcome>;
}

/** Runs it, or follows the rank that does. */
export async function runOnRanks<Outcome extends object>(
  run: RankedRun<Outcome>,
  options: LongRunOptions & RanksOptions,
): Promise<void> {
  const { recipe, data } = run;
  const place = takePlace(options, recipe);
  if (place === null) {
    const { ALONE } = await import('../ranks/team.ts');
    return runWatched({ ...run, work: (watching) => run.work(watching, ALONE) }, options);
  }
  const { followRun, leadRun } = await import('../loop/ranks.ts');
  const work = { recipe, sharedFolder: dirname(recipe.output), device: recipe.device, model: recipe.model, data };
  if (place.rank > 0) {
    process.exitCode = await followRun(place, work, say);
    return;
  }
  const command = options.ranks === undefined ? run.command : [...run.command, '--ranks', String(options.ranks)];
  const lead = { place, work, say };
  await runWatched({ ...run, command, work: (watching) => leadRun(lead, (team) => run.work(watching, team)) }, options);
}

/** This process's place among ranks, whose processors and GPUs it takes its share of; null where it is alone. RanksError. */
export function takePlace(
  { ranks }: RanksOptions,
  { device, threads }: { device: string; threads: number | null },
): Place | null {
  const place = placeOf(process.env, { ranks, automatic: availableParallelism() });
  if (place === null) return null;
  takeDevice(device, place);
  shareThreads(place, threads);
  return place;
}

/**
 * Each rank computes on a GPU of its own, and sees no other. Which ones all ranks of the machine may use is kept, for the ranks that
 * this process starts.
 */
function takeDevice(device: string, place: Place): void {
  if (device === 'cpu') return;
  if (device !== 'cuda') {
    throw new RanksError(
      'RANKS_DEVICE',
      `Cannot run on ${place.size} ranks with device ${device}, which is ${device === 'auto' ? 'chosen for one process' : 'one GPU'}: set device to cuda: each rank takes the GPU with its number on its machine`,
      { details: { device } },
    );
  }
  const { env } = process;
  env.SELM_VISIBLE_DEVICES ??= env.CUDA_VISIBLE_DEVICES ?? '';
  env.CUDA_VISIBLE_DEVICES = gpuOf(place, env.SELM_VISIBLE_DEVICES === '' ? null : env.SELM_VISIBLE_DEVICES);
}

/** The ranks of a machine share its processors, unless the user or the recipe says how many threads each has. */
function shareThreads({ localSize }: Place, threads: number | null): void {
  process.env.SELM_THREADS ??= String(threads ?? Math.max(1, Math.floor(availableParallelism() / localSize)));
}

/** Tells the user what another rank says. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
