/**
 * @file The curves of a run. A million numbers are read once, in pieces between which others are served, and kept as columns;
 * later looks read only what came since. A page gets as many points as a screen shows.
 */
import { setImmediate } from 'node:timers/promises';
import type { AttemptRecord, LedgerViews, MetricValue } from '../store/ledger-views.ts';
import type { Curve, Curves } from './api.ts';

/** Numbers read at once. */
const PIECE = 20_000;
/** Digits of a number that a chart can show. */
const DIGITS = 7;

/** One stage of one iteration, as far as it was read. */
interface StageColumns {
  iteration: number;
  stage: string;
  /** The latest attempt when it was read: another one may have measured steps again. */
  attempt: number;
  lastStep: number;
  columns: Map<string, { steps: number[]; values: number[] }>;
  measured: number;
}

/** What was measured in a run, step by step. */
export class RunSeries {
  #stages: StageColumns[] = [];
  #reading: Promise<void> = Promise.resolve();

  /** Reads what came since the last time. Calls at the same time wait for each other. */
  async refresh(views: LedgerViews): Promise<void> {
    const after = this.#reading.catch(() => {});
    this.#reading = after.then(() => this.#read(views));
    await this.#reading;
  }

  /** Names of everything measured, sorted. */
  names(): string[] {
    return [
      ...new Set(this.#stages.flatMap((stage) => [...stage.columns.keys()].map((name) => nameIn(stage, name)))),
    ].sort();
  }

  /** How many numbers were read. */
  get measured(): number {
    return this.#stages.reduce((total, { measured }) => total + measured, 0);
  }

  /** Curves over steps, counted through all iterations from 1, of at most about `points` points each. */
  curves(names: readonly string[], points: number): Pick<Curves, 'starts'> & { curves: Curve[] } {
    const offsets = offsetsOf(this.#stages);
    const curves = names.map((name) => {
      const parts = this.#stages.flatMap((stage) => {
        const column = stage.columns.get(columnOf(stage, name));
        return column === undefined ? [] : [{ ...column, offset: offsets.get(stage.iteration) ?? 0 }];
      });
      const count = parts.reduce((total, { steps }) => total + steps.length, 0);
      const [x, y] = [new Float64Array(count), new Float64Array(count)];
      let place = 0;
      for (const { steps, values, offset } of parts) {
        y.set(values, place);
        for (const step of steps) x[place++] = offset + step + 1;
      }
      return { name, ...thinnedCurve(x, y, points) };
    });
    return { curves, starts: [...offsets].map(([iteration, before]) => ({ iteration, before })) };
  }

  async #read(views: LedgerViews): Promise<void> {
    const attempts = views.attempts();
    const keys = new Map(attempts.map((each) => [`${each.iteration}/${each.stage}`, each]));
    const stages: StageColumns[] = [];
    for (const { iteration, stage } of keys.values()) {
      const own = attempts.filter((each) => each.iteration === iteration && each.stage === stage);
      const attempt = Math.max(...own.map((each) => each.attempt));
      const known = this.#stages.find((each) => each.iteration === iteration && each.stage === stage);
      const columns =
        known?.attempt === attempt
          ? known
          : { iteration, stage, attempt, lastStep: -1, columns: new Map(), measured: 0 };
      await readBehind(columns, own, views);
      if (columns.columns.size > 0) stages.push(columns);
    }
    this.#stages = stages.sort((a, b) => a.iteration - b.iteration);
  }
}

/** Numbers of stages other than training stand under the name of their stage. */
function nameIn({ stage }: StageColumns, name: string): string {
  return stage === 'train' || stage === 'sft' ? name : `${stage}: ${name}`;
}

/** The column of a stage that goes by a name; a name that is none of its own finds nothing. */
function columnOf(stage: StageColumns, name: string): string {
  const prefix = nameIn(stage, '');
  return name.startsWith(prefix) ? name.slice(prefix.length) : '';
}

/** Steps before each iteration. */
function offsetsOf(stages: readonly StageColumns[]): Map<number, number> {
  const steps = new Map<number, number>();
  for (const { iteration, lastStep } of stages) steps.set(iteration, Math.max(steps.get(iteration) ?? 0, lastStep + 1));
  let total = 0;
  return new Map(
    [...steps].map(([iteration, count]) => {
      const offset = total;
      total += count;
      return [iteration, offset];
    }),
  );
}

async function readBehind(known: StageColumns, attempts: readonly AttemptRecord[], views: LedgerViews): Promise<void> {
  for (;;) {
    const piece = views.metricsBehind(known, { step: known.lastStep, limit: PIECE });
    if (piece.length === 0) return;
    for (const { step, name, value } of currentOf(piece, attempts)) {
      const column = known.columns.get(name) ?? { steps: [], values: [] };
      column.steps.push(step);
      column.values.push(value ?? Number.NaN);
      known.columns.set(name, column);
      known.measured += 1;
    }
    known.lastStep = piece.at(-1)?.step ?? known.lastStep;
    await setImmediate(); // others are served in between
  }
}

/**
 * Of the numbers of whole steps those that count: of the latest attempt at a step, and not what an attempt measured beyond
 * the step that a later one went on from (the rule of the ledger's view `currentMetrics`).
 */
function currentOf(piece: readonly MetricValue[], attempts: readonly AttemptRecord[]): MetricValue[] {
  if (attempts.length < 2) return [...piece];
  const reaches = new Map(
    attempts.map(({ attempt }) => {
      const later = attempts.filter((each) => each.attempt > attempt).flatMap(({ resumeStep }) => resumeStep ?? []);
      return [attempt, Math.min(...later, Number.POSITIVE_INFINITY)];
    }),
  );
  const latest = new Map<number, number>();
  for (const { step, attempt } of piece) latest.set(step, Math.max(latest.get(step) ?? 0, attempt));
  return piece.filter(
    ({ step, attempt }) => latest.get(step) === attempt && step <= (reaches.get(attempt) ?? Number.POSITIVE_INFINITY),
  );
}

/**
 * At most about `most` points of a curve: the lowest and the highest of each stretch, the first and the last, so that no
 * spike is lost. What is not finite is null, and there the line breaks.
 */
export function thinnedCurve(x: ArrayLike<number>, y: ArrayLike<number>, most: number): Omit<Curve, 'name'> {
  const kept = x.length <= most ? Array.from(x, (_, index) => index) : extremes(y, Math.ceil((2 * x.length) / most));
  const finite = (value: number | undefined) => (Number.isFinite(value) ? Number(value?.toPrecision(DIGITS)) : null);
  return { x: kept.map((index) => x[index] ?? 0), y: kept.map((index) => finite(y[index])) };
}

function extremes(y: ArrayLike<number>, stretch: number): number[] {
  const kept = new Set([0, y.length - 1]);
  for (let start = 0; start < y.length; start += stretch) {
    let [low, high] = [start, start];
    for (let index = start; index < Math.min(y.length, start + stretch); index++) {
      const value = y[index] ?? Number.NaN;
      if (!(value >= (y[low] ?? 0))) low = index; // also where either is not a number: the break stays
      if (value > (y[high] ?? 0)) high = index;
    }
    kept.add(low);
    kept.add(high);
  }
  return [...kept].sort((a, b) => a - b);
}
