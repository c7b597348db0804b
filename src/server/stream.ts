/**
 * @file Runs as streams of server-sent events. Every reader has its own place in the log of a run and reads it at its own
 * pace: a slow page holds nobody up, and one that comes back gives the last id that it saw and misses nothing.
 */
import { setTimeout } from 'node:timers/promises';
import { type LoggedEvent, readEvents } from '../store/read-events.ts';
import type { RunSummary } from './api.ts';
import type { OpenRuns } from './open-runs.ts';

/** One server-sent event. `id` only for those that a reader may go on behind. */
export interface Sent {
  event: 'event' | 'summary' | 'runs' | 'reset' | 'beat';
  data: string;
  id?: string;
}

/** Milliseconds between two looks at a run. */
const LOOK_MS = 500;
/** A sign of life where nothing happens, so that a connection that broke is noticed. */
const BEAT_MS = 15_000;

export interface FollowOptions {
  signal: AbortSignal;
  /** @default 500 */
  lookMs?: number;
}

/**
 * The events of a run behind an id, then new ones as they come, and its summary whenever that changes. Ends with `reset`
 * where the id is none of the run's log: the reader begins anew. Ends when the signal is aborted.
 */
export async function* followRun(
  runs: OpenRuns,
  { id, afterId }: { id: string; afterId: number },
  { signal, lookMs = LOOK_MS }: FollowOptions,
): AsyncGenerator<Sent> {
  const { path } = runs.find(id);
  let lastId = afterId;
  yield* onChange({ signal, lookMs }, function* (changed) {
    for (;;) {
      const read = readEvents(path, lastId);
      if (read === null) {
        yield { event: 'reset', data: '{}' };
        return 'over';
      }
      for (const { id: eventId, event } of read.events) {
        if (isShown(event)) yield { event: 'event', data: JSON.stringify(event), id: String(eventId) };
      }
      if (read.lastId === lastId) break;
      lastId = read.lastId;
    }
    yield* changed('summary', runs.summary(id));
    return 'goes on';
  });
}

/** The list of runs, whenever something in it changes. */
export async function* followRuns(runs: OpenRuns, { signal, lookMs = LOOK_MS }: FollowOptions): AsyncGenerator<Sent> {
  yield* onChange({ signal, lookMs }, function* (changed) {
    yield* changed('runs', runs.summaries());
    return 'goes on';
  });
}

type Changed = (event: 'summary' | 'runs', value: RunSummary | RunSummary[]) => Generator<Sent, void>;

/** Looks again and again; `changed` gives a value only where it is another one than at the last look. */
async function* onChange(
  { signal, lookMs }: Required<FollowOptions>,
  look: (changed: Changed) => Generator<Sent, 'over' | 'goes on'>,
): AsyncGenerator<Sent> {
  let last = '';
  let quietMs = 0;
  const changed: Changed = function* (event, value) {
    const data = JSON.stringify(value);
    if (data !== last) yield { event, data };
    last = data;
  };
  while (!signal.aborted) {
    const steps = look(changed);
    let step = steps.next();
    if (!step.done) quietMs = 0;
    for (; !step.done; step = steps.next()) yield step.value;
    if (step.value === 'over') return;
    quietMs += lookMs;
    if (quietMs >= BEAT_MS) {
      yield { event: 'beat', data: '{}' };
      quietMs = 0;
    }
    await setTimeout(lookMs, undefined, { signal }).catch(() => {}); // aborted: the loop ends
  }
}

/** What the summary says already is not sent again. */
function isShown({ kind }: LoggedEvent): boolean {
  return kind !== 'heartbeat' && kind !== 'stage-progress';
}
