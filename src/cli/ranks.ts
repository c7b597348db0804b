/**
 * @file A long run on several ranks: one of them is watched and prints, the others follow it. The launcher or `--ranks` says
 * which one this process is; alone, it is an ordinary run.
 */
import { availableParallelism } from 'node:os';
import { Option } from 'commander';
import { RanksError } from '../errors.ts';
import { type Place, placeOf } from '../ranks/place.ts';
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
    'share the work between so many processes of this machine (docs/scale.md); a launcher such as torchrun needs no option',
  ).argParser(wholeNumber(1));
}

/** A long run whose work a team does. */
export interface RankedRun<Outcome extends object> extends Omit<LongRun<Outcome>, 'work' | 'recipe'> {
  recipe: { name: string; output: string; threads: number | null; device: string };
  work(watching: { watch: Watch; signal: AbortSignal }, team: Team): Promise<Outcome>;
}

/** Runs it, or follows the rank that does. */
export async function runOnRanks<Outcome extends object>(
  run: RankedRun<Outcome>,
  options: LongRunOptions & RanksOptions,
): Promise<void> {
  const place = placeOf(process.env, { ranks: options.ranks, automatic: availableParallelism() });
  if (place === null) {
    const { ALONE } = await import('../ranks/team.ts');
    return runWatched({ ...run, work: (watching) => run.work(watching, ALONE) }, options);
  }
  refuseDevice(run.recipe.device, place);
  shareThreads(place, run.recipe.threads);
  const { followRun, leadRun } = await import('../loop/ranks.ts');
  if (place.rank > 0) {
    process.exitCode = await followRun(place, run.recipe, say);
    return;
  }
  const command = options.ranks === undefined ? run.command : [...run.command, '--ranks', String(options.ranks)];
  const lead = { place, recipe: run.recipe, say };
  await runWatched({ ...run, command, work: (watching) => leadRun(lead, (team) => run.work(watching, team)) }, options);
}

/** All ranks would compute on one GPU: until each has its own, they compute on processors. */
function refuseDevice(device: string, { size }: Place): void {
  if (device === 'cpu') return;
  throw new RanksError(
    'RANKS_DEVICE',
    `Cannot run on ${size} ranks with device ${device}: ranks compute on the cpu only so far: set device to cpu, or start one process`,
    { details: { device } },
  );
}

/** The ranks of a machine share its processors, unless the user or the recipe says how many threads each has. */
function shareThreads({ localSize }: Place, threads: number | null): void {
  process.env.SELM_THREADS ??= String(threads ?? Math.max(1, Math.floor(availableParallelism() / localSize)));
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
