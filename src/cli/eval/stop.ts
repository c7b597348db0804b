/** @file Stopping an evaluation: the first signal keeps the answers so far and prints the command that continues. */
import { InterruptedError } from '../../errors.ts';
import { selmCommand } from '../format.ts';
import { listenForStop } from '../signals.ts';

/** Where to speak, and when to end. */
export interface Listening {
  signal: AbortSignal;
  say: (text: string) => void;
}

/** Does the work; null where a signal stopped it, which also sets the exit code of the process. */
export async function watchStop<Result>(work: (listening: Listening) => Promise<Result>): Promise<Result | null> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
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
