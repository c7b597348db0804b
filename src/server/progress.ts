/** @file How fast a run is and how long it still takes, from its events and from what its earlier iterations took. Pure. */
import type { LoggedEvent } from '../store/read-events.ts';
import type { Progress } from './api.ts';

type Working = Extract<LoggedEvent, { kind: 'stage-started' | 'stage-progress' }>;

/** The work in progress, as the last events tell it; null between two stages. */
export function progressOf(events: readonly LoggedEvent[]): Progress | null {
  const last = events.findLast(isWorking);
  if (last === undefined) return null;
  const after = events.slice(events.indexOf(last) + 1);
  const isOver = after.some(({ kind }) => kind === 'stage-finished' || kind === 'opened' || kind === 'closed');
  if (isOver) return null;
  const opened = events.findLastIndex(({ kind }) => kind === 'opened');
  const seen = events
    .slice(Math.max(0, opened))
    .filter(isWorking)
    .filter(({ stage, iteration }) => stage === last.stage && iteration === last.iteration);
  const started = seen.findLast((event) => event.kind === 'stage-started');
  const first = seen[0] ?? last;
  const seconds = (last.timeMs - first.timeMs) / 1000;
  const perSecond = last.done > first.done && seconds > 0 ? (last.done - first.done) / seconds : null;
  return {
    done: last.done,
    total: last.total,
    unit: started?.kind === 'stage-started' ? started.unit : '',
    detail: last.kind === 'stage-progress' ? (last.detail ?? null) : null,
    perSecond,
    secondsLeft: perSecond === null ? null : Math.max(0, last.total - last.done) / perSecond,
  };
}

function isWorking(event: LoggedEvent): event is Working {
  return event.kind === 'stage-started' || event.kind === 'stage-progress';
}

/** What a stage took, of those that are finished. */
export interface StageTime {
  iteration: number;
  stage: string;
  seconds: number;
}

/**
 * Seconds until a run is at its end: what is left of its stage, and for each later stage what it took in the latest
 * iteration that had it. Null where a stage that is still to come was never seen, as in a first iteration.
 */
export function secondsLeftOf(
  times: readonly StageTime[],
  {
    place,
    iterations,
    ofStage,
  }: { place: { iteration: number; stage: string }; iterations: number; ofStage: number | null },
): number | null {
  const whole = times.filter(({ iteration }) => iteration >= 1 && iteration < place.iteration);
  const latest = Math.max(...whole.map(({ iteration }) => iteration));
  const model = whole.filter(({ iteration }) => iteration === latest);
  if (model.length === 0 || ofStage === null) return null;
  const doneNow = new Set(times.filter(({ iteration }) => iteration === place.iteration).map(({ stage }) => stage));
  const stillNow = model.filter(({ stage }) => stage !== place.stage && !doneNow.has(stage));
  const oneIteration = sum(model.map(({ seconds }) => seconds));
  const later = Math.max(0, iterations - place.iteration) * oneIteration;
  return ofStage + sum(stillNow.map(({ seconds }) => seconds)) + later;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
