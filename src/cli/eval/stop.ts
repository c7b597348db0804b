/**
 * @file Evaluations on one process or on several ranks, and stopping them: the first signal keeps the answers so far and prints the
 * command that continues.
 */
import { InterruptedError } from '../../errors.ts';
import { selmCommand } from '../../files/command-line.ts';
import type { Team } from '../../ranks/team.ts';
import { type RanksOptions, say, takePlace } from '../ranks.ts';
import { listenForStop } from '../signals.ts';

/** Where to speak, and when to end. */
export interface Listening {
  signal: AbortSignal;
  say: (text: string) => void;
}

/** The same, and who shares the work. */
export interface SharedListening extends Listening {
  team: Team;
}

/**
 * Does the work; null where a signal stopped it, and on a rank that followed another: both set the exit code of the process. `options`
 * are all that was asked for: ranks that were asked for something else do not work together.
 */
export async function watchOnRanks<Result>(
  options: RanksOptions & { model?: string | undefined; device?: string | undefined } & Record<string, unknown>,
  work: (listening: SharedListening) => Promise<Result>,
): Promise<Result | null> {
  const { device = 'cpu' } = options;
  const place = takePlace(options, { device, threads: null });
  if (place === null) {
    const { ALONE } = await import('../../ranks/team.ts');
    return watchStop((listening) => work({ ...listening, team: ALONE }));
  }
  const { followRun, leadRun } = await import('../../loop/ranks.ts');
  // `ranks` is what the others were not told: they have their places.
  const { ranks: _, ...recipe } = options;
  const ranked = { recipe, sharedFolder: null, device, model: options.model ?? null, data: [] };
  if (place.rank > 0) {
    process.exitCode = await followRun(place, ranked, say);
    return null;
  }
  return watchStop((listening) => leadRun({ place, work: ranked, say }, (team) => work({ ...listening, team })));
}

/** Does the work; null where a signal stopped it, which also sets the exit code of the process. */
export async function watchStop<Result>(work: (listening: Listening) => Promise<Result>): Promise<Result | null> {
  const stop = listenForStop((name) => say(`${name}: keeping what is answered; Ctrl-C again stops at once`));
  try {
    return await work({ signal: stop.signal, say });
  } catch (error) {
    if (!(error instanceof InterruptedError) || stop.received === null) throw error;
    say(`Stopped; what was answered is kept; go on with:\n  ${selmCommand(process.argv.slice(2))}`);
    process.exitCode = stop.received.exitCode;
    return null;
  } finally {
    stop.close();
  }
}
