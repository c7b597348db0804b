/**
 * @file The process of one run of a sweep: it is sent a recipe, runs it, and sends what happens. A process of its own, so
 * that a run that exhausts the memory or crashes takes no other with it. Without its parent it ends.
 */
import { InterruptedError, SelmError } from '../errors.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { LoopEvent } from '../store/events.ts';
import type { RunEnd } from './schedule.ts';

/** What the process is sent. */
export type ToWorker = { kind: 'run'; recipe: Recipe; acceptChanges: boolean } | { kind: 'stop' };
/** What it sends. */
export type FromWorker = { kind: 'ready' } | { kind: 'event'; event: LoopEvent } | { kind: 'end'; end: RunEnd };

const stop = new AbortController();

process.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'run':
      void runToItsEnd(message);
      break;
    case 'stop':
      stop.abort(new InterruptedError('INTERRUPTED', 'The sweep was stopped'));
  }
});
// Killed without a word, the parent can no longer say when to stop: what is finished is on the disk.
process.on('disconnect', () => process.exit(1));
send({ kind: 'ready' });

async function runToItsEnd({ recipe, acceptChanges }: Extract<ToWorker, { kind: 'run' }>): Promise<void> {
  const end = await endOf(recipe, acceptChanges);
  send({ kind: 'end', end }, () => process.exit(0));
}

async function endOf(recipe: Recipe, acceptChanges: boolean): Promise<RunEnd> {
  try {
    const { runRecipe } = await import('../loop/run.ts');
    const watch = (event: LoopEvent): void => send({ kind: 'event', event });
    const { summary } = await runRecipe(recipe, { watch, signal: stop.signal, acceptChanges });
    return { kind: 'finished', summary };
  } catch (error) {
    if (error instanceof InterruptedError && stop.signal.aborted) return { kind: 'stopped' };
    if (error instanceof SelmError) return { kind: 'failed', code: error.code, message: error.message };
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: 'failed', code: 'INTERNAL', message: text };
  }
}

function send(message: FromWorker, then: () => void = () => {}): void {
  process.send?.(message, undefined, undefined, then);
}
