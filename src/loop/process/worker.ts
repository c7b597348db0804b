/**
 * @file A process that runs something: it is sent a run of a sweep or the twin of a run, does it, and sends what happens. A process
 * of its own, so that what exhausts the memory or crashes takes nothing else with it. Without its parent it ends.
 */
import { InterruptedError, SelmError } from '../../errors.ts';
import type { LoopEvent } from '../../store/events.ts';
import type { FromProcess, ProcessWork, ToProcess } from './messages.ts';

const stop = new AbortController();

process.on('message', (message: ToProcess) => {
  switch (message.kind) {
    case 'work':
      void workToItsEnd(message.work);
      break;
    case 'stop':
      stop.abort(new InterruptedError('INTERRUPTED', 'The run was stopped'));
  }
});
// Killed without a word, the parent can no longer say when to stop: what is finished is on the disk.
process.on('disconnect', () => process.exit(1));
send({ kind: 'ready' });

async function workToItsEnd(work: ProcessWork): Promise<void> {
  const end = await endOf(work);
  send({ kind: 'end', end }, () => process.exit(0));
}

type End = Extract<FromProcess, { kind: 'end' }>['end'];

async function endOf(work: ProcessWork): Promise<End> {
  try {
    await finish(work);
    return { kind: 'finished' };
  } catch (error) {
    if (error instanceof InterruptedError && stop.signal.aborted) return { kind: 'stopped' };
    if (error instanceof SelmError) return { kind: 'failed', code: error.code, message: error.message };
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: 'failed', code: 'INTERNAL', message: text };
  }
}

async function finish(work: ProcessWork): Promise<void> {
  // Loaded when there is work, so that the process is ready at once.
  const { runRecipe, runTwin } = await import('../run.ts');
  const watching = { watch: (event: LoopEvent): void => send({ kind: 'event', event }), signal: stop.signal };
  switch (work.kind) {
    case 'recipe':
      await runRecipe(work.recipe, { ...watching, acceptChanges: work.acceptChanges });
      break;
    case 'twin':
      await runTwin(work, watching);
  }
}

function send(message: FromProcess, then: () => void = () => {}): void {
  process.send?.(message, undefined, undefined, then);
}
