/**
 * @file Shows a sweep to a person: a line when a run begins and one when it ends, on a terminal also what is under way now,
 * in one line that is drawn again and again.
 */
import type { LoopEvent } from '../store/events.ts';
import type { PlannedRun } from '../sweep/plan.ts';
import type { SweepEvent } from '../sweep/schedule.ts';
import { formatDuration, wrapped } from './format.ts';
import type { Output } from './progress.ts';

export interface SweepProgressOptions {
  runs: readonly PlannedRun[];
  json?: true;
  quiet?: true;
  /** Where events go as JSON. @default process.stdout */
  events?: Output;
}

/** A watcher that draws, and `close`, which takes the drawn line away. */
export function openSweepProgress(
  output: Output,
  { runs, json, quiet, events = process.stdout }: SweepProgressOptions,
): { watch: (event: SweepEvent) => void; close(): void } {
  const under = new Map<number, { run: PlannedRun; event: LoopEvent | null }>();
  let drawn = false;

  const close = (): void => {
    if (drawn) output.write('\r\x1b[2K');
    drawn = false;
  };
  const line = (text: string): void => {
    close();
    output.write(`${wrapped(text, output.columns)}\n`);
  };
  const draw = (): void => {
    if (output.columns === undefined || json || quiet || under.size === 0) return;
    const text = [...under.values()].map(({ run, event }) => `${nameOf(run)} ${placeOf(event, run)}`).join(' | ');
    output.write(`\r\x1b[2K${text.slice(0, output.columns - 1)}`); // a line that wraps could not be taken back
    drawn = true;
  };

  function show(event: SweepEvent): void {
    const count = `[${event.index + 1}/${runs.length}]`;
    switch (event.kind) {
      case 'run-started':
        under.set(event.index, { run: event.run, event: null });
        if (!quiet) line(`${count} ${nameOf(event.run)}  ${event.isNew ? 'begins' : 'goes on'}`);
        break;
      case 'run-event':
        if (event.event.kind === 'warning') line(`warning: ${nameOf(event.run)}: ${event.event.text}`);
        if (event.event.kind === 'stage-started' || event.event.kind === 'stage-progress')
          under.set(event.index, { run: event.run, event: event.event });
        break;
      case 'run-ended':
        under.delete(event.index);
        if (!quiet || event.end.kind === 'failed') line(`${count} ${nameOf(event.run)}  ${endText(event)}`);
    }
    draw();
  }

  return { watch: (event) => (json ? void events.write(`${JSON.stringify(plain(event))}\n`) : show(event)), close };
}

function nameOf({ arm, seed }: PlannedRun): string {
  return `${arm}, seed ${seed}`;
}

function placeOf(event: LoopEvent | null, { recipe }: PlannedRun): string {
  if (event === null) return 'begins';
  const where = event.iteration === 0 ? 'before' : `${event.iteration}/${recipe.iterations}`;
  if (event.kind !== 'stage-started' && event.kind !== 'stage-progress') return where;
  return `${where} ${event.stage} ${event.done}/${event.total}`;
}

function endText({ end, seconds }: Extract<SweepEvent, { kind: 'run-ended' }>): string {
  switch (end.kind) {
    case 'finished':
      return `finished (${formatDuration(seconds)})`;
    case 'already-finished':
      return 'finished before';
    case 'stopped':
      return 'stopped; the same command goes on with it';
    case 'failed':
      return `failed: ${end.message} (${end.code})`;
  }
}

/** An event without the whole recipe. */
function plain(event: SweepEvent): object {
  const { run, ...rest } = event;
  return { ...rest, arm: run.arm, seed: run.seed, path: run.recipe.output };
}
