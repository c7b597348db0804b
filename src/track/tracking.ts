/**
 * @file Trackers beside a run. They follow its metrics as they come and never hold it up; what a tracker misses, because its
 * server was away or the process died, it gets from the ledger when the run goes on.
 */
import { InterruptedError } from '../errors.ts';
import { type TrackerSettings, trackersOf } from '../recipe/track.ts';
import type { RunChange } from '../store/changes.ts';
import type { Announce, StageName } from '../store/events.ts';
import type { StoredMetric } from '../store/ledger-rows.ts';
import type { AnyRecipe } from '../store/run-config.ts';
import type { MeasuredValues } from './measured.ts';
import { openSink, type SinkOptions } from './open.ts';
import type { MetricSink, Outcome, TrackedRun, TrackedSoFar, TrackedStep } from './sink.ts';
import { TrackingState } from './state.ts';

/** Steps are handed over this often, so that a fast run makes few calls. */
const FLUSH_MS = 2000;
/** A tracker that failed is asked again this often. */
const RETRY_MS = 30_000;
/** A run that is over waits for its trackers as long as that. */
const CLOSE_MS = 15_000;

/** What of a run is tracked. */
export interface TrackedSource {
  path: string;
  recipe: AnyRecipe;
  changes: readonly RunChange[];
  ledger: { metrics(): readonly StoredMetric[] };
  /** What was measured of its models so far; absent where nothing ever is. */
  measured?: () => readonly MeasuredValues[];
}

export interface TrackingOptions extends Pick<SinkOptions, 'environment'> {
  /** Hears, as a sentence, that a tracker failed (once each), and what to do with what was written. */
  announce: Announce;
  /** @default the trackers of the setting */
  open?: (run: TrackedRun, settings: TrackerSettings, options: SinkOptions) => MetricSink;
  /** @default Date.now */
  clock?: () => number;
}

/** Opens the trackers of a run. RecipeError for a setting that cannot be meant. Without any nothing is done. */
export function openTracking(source: TrackedSource, options: TrackingOptions): Tracking {
  const { announce, environment, open = openSink, clock = Date.now } = options;
  const settings = trackersOf(source.recipe.track);
  const { measured = () => [] } = source;
  const offset = stepsBefore(() => source.ledger.metrics());
  if (settings.length === 0) return new Tracking([], { offset, measured, clock });
  const state = new TrackingState(source.path, { anew: takesBack(source.changes) });
  const run = trackedRun(source);
  const known = inOrder([
    ...knownSteps(source.ledger.metrics(), clock()),
    ...measured().map((each) => evaluatedStep(each, { offset, timeMs: clock() })),
  ]);
  const followers = settings.map(
    (each) => new Follower(open(run, each, { state, environment }), { known, announce, state }),
  );
  return new Tracking(followers, { offset, measured, clock });
}

/** The open trackers of a run. */
export class Tracking {
  readonly #followers: readonly Follower[];
  readonly #offset: (iteration: number) => number;
  readonly #measured: () => readonly MeasuredValues[];
  readonly #clock: () => number;

  /** Use `openTracking`. */
  constructor(
    followers: readonly Follower[],
    {
      offset,
      measured,
      clock,
    }: { offset: (iteration: number) => number; measured: () => readonly MeasuredValues[]; clock: () => number },
  ) {
    this.#followers = followers;
    this.#offset = offset;
    this.#measured = measured;
    this.#clock = clock;
  }

  /** An `Announce` that hands metrics to the trackers, and everything on. */
  through(announce: Announce, { iteration }: { iteration: number }): Announce {
    if (this.#followers.length === 0) return announce;
    return (notice) => {
      announce(notice);
      if (notice.kind === 'stage-finished' && MEASURING.has(notice.stage)) this.#addMeasured(iteration);
      if (notice.kind !== 'metrics') return;
      const step = trackedStep(this.#offset(iteration) + notice.step, {
        iteration,
        timeMs: this.#clock(),
        values: notice.values,
      });
      for (const follower of this.#followers) follower.add(step);
    };
  }

  /** What the ledger has of an iteration's model; what a tracker has of it already is left out there. */
  #addMeasured(iteration: number): void {
    const found = this.#measured().find((each) => each.iteration === iteration);
    if (found === undefined) return;
    const step = evaluatedStep(found, { offset: this.#offset, timeMs: this.#clock() });
    for (const follower of this.#followers) follower.add(step);
  }

  /** Runs the work of a run; afterwards the trackers get what is left, and hear how it ended. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    for (const follower of this.#followers) follower.start();
    let outcome: Outcome = 'failed';
    try {
      const result = await work();
      outcome = 'finished';
      return result;
    } catch (error) {
      if (error instanceof InterruptedError) outcome = 'stopped';
      throw error;
    } finally {
      await Promise.all(this.#followers.map((follower) => follower.close(outcome)));
    }
  }
}

/** One tracker: steps wait here until it has taken them. */
class Follower {
  readonly #sink: MetricSink;
  readonly #announce: Announce;
  readonly #state: TrackingState;
  readonly #waiting: TrackedStep[];
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<void> = Promise.resolve();
  /** What the tracker has; null until it was asked. */
  #soFar: { nextStep: number; measured: Record<string, number> } | null = null;
  #hasFailed = false;

  constructor(
    sink: MetricSink,
    { known, announce, state }: { known: readonly TrackedStep[]; announce: Announce; state: TrackingState },
  ) {
    this.#sink = sink;
    this.#waiting = [...known];
    this.#announce = announce;
    this.#state = state;
  }

  start(): void {
    this.#plan(0);
  }

  add(step: TrackedStep): void {
    this.#waiting.push(step);
    this.#plan(FLUSH_MS);
  }

  async close(outcome: Outcome): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const last = async (): Promise<void> => {
      await this.#work;
      const isTaken = await this.#flush();
      if (!isTaken) return;
      const said = await this.#guard(() => this.#sink.close(outcome));
      if (said !== null && said !== undefined) this.#announce({ kind: 'note', text: said });
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([last(), late]);
    clearTimeout(timer);
  }

  #plan(afterMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#work = this.#work.then(async () => {
        const isTaken = await this.#flush();
        this.#timer = null;
        if (this.#waiting.length > 0) this.#plan(isTaken ? FLUSH_MS : RETRY_MS);
      });
    }, afterMs);
    this.#timer.unref(); // a run that is over does not wait for it
  }

  async #open(): Promise<{ nextStep: number; measured: Record<string, number> }> {
    const { nextStep, measured } = await this.#sink.open();
    this.#soFar = { nextStep, measured: { ...measured } };
    return this.#soFar;
  }

  /** Hands over what waits; false where the tracker did not take it, and it waits on. */
  async #flush(): Promise<boolean> {
    const taken = await this.#guard(async () => {
      const soFar = this.#soFar ?? (await this.#open());
      const count = this.#waiting.length;
      const steps = notYet(this.#waiting, soFar);
      if (steps.length > 0) {
        await this.#sink.write(steps);
        for (const { group, step, values } of steps) {
          if (group === 'train') soFar.nextStep = Math.max(soFar.nextStep, step + 1);
          else for (const name of Object.keys(values)) soFar.measured[name] = step;
        }
        this.#state.put(this.#sink.kind, soFar);
      }
      this.#waiting.splice(0, count);
      return true;
    });
    return taken ?? false;
  }

  /** What fails is said once; the run goes on. */
  async #guard<Result>(call: () => Promise<Result>): Promise<Result | null> {
    try {
      return await call();
    } catch (error) {
      if (!this.#hasFailed) {
        this.#hasFailed = true;
        const reason = error instanceof Error ? error.message : String(error);
        const text = `The tracker ${this.#sink.kind} does not take this run's metrics; the run goes on, and what it misses is handed over later. ${reason}`;
        this.#announce({ kind: 'warning', text });
      }
      return null;
    }
  }
}

/** Steps, and measures of models, that a tracker has not. */
function notYet(waiting: readonly TrackedStep[], soFar: TrackedSoFar): TrackedStep[] {
  const has = new Map(Object.entries(soFar.measured));
  return waiting.flatMap((each): TrackedStep[] => {
    if (each.group === 'train') return each.step >= soFar.nextStep ? [each] : [];
    const values = Object.entries(each.values).filter(([name]) => each.step > (has.get(name) ?? -1));
    // A model that waits twice, after its answers and after its benchmarks, is handed over once.
    for (const [name] of values) has.set(name, each.step);
    return values.length === 0 ? [] : [{ ...each, values: Object.fromEntries(values) }];
  });
}

/** Whether steps that trackers may have are made again with other settings. */
function takesBack(changes: readonly RunChange[]): boolean {
  return changes.some(({ effect }) => effect.kind === 'done-again');
}

/** Stages whose metrics are tracked: the policy's training, one in each iteration. */
const STAGES: ReadonlySet<string> = new Set<StageName>(['train', 'sft']);
/** Stages that measure a model. */
const MEASURING: ReadonlySet<string> = new Set<StageName>(['evaluate', 'benchmark', 'alpaca', 'mt-bench']);

/** The steps that the ledger has already. When they were made it does not say. */
function knownSteps(metrics: readonly StoredMetric[], timeMs: number): TrackedStep[] {
  const offset = stepsBefore(() => metrics);
  return metrics
    .filter(({ stage }) => STAGES.has(stage))
    .map(({ iteration, step, values }) => trackedStep(offset(iteration) + step, { iteration, timeMs, values }));
}

/** A model is measured before the step that comes next. */
function inOrder(steps: readonly TrackedStep[]): TrackedStep[] {
  return [...steps].sort((a, b) => a.step - b.step || Number(a.group === 'train') - Number(b.group === 'train'));
}

/** The base, iteration 0 without steps of its own, is at step 0; a model at the step behind its last. */
function evaluatedStep(
  { iteration, values }: MeasuredValues,
  { offset, timeMs }: { offset: (iteration: number) => number; timeMs: number },
): TrackedStep {
  return { group: 'eval', step: offset(iteration + 1), timeMs, values: finite(values) };
}

function finite(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));
}

/** How many steps the iterations before one made: all of them are over when it is asked for. */
function stepsBefore(metrics: () => readonly StoredMetric[]): (iteration: number) => number {
  const found = new Map<number, number>();
  return (iteration) => {
    const before =
      found.get(iteration) ?? metrics().filter((each) => each.iteration < iteration && STAGES.has(each.stage)).length;
    found.set(iteration, before);
    return before;
  };
}

function trackedStep(
  step: number,
  { iteration, timeMs, values }: { iteration: number; timeMs: number; values: Readonly<Record<string, number>> },
): TrackedStep {
  return { group: 'train', step, timeMs, values: { ...finite(values), iteration } };
}

/** The settings, without what may hold a key by mistake. */
function trackedRun({ path, recipe }: TrackedSource): TrackedRun {
  const settings = JSON.parse(
    JSON.stringify(recipe, (key, value: unknown) => (SECRET.has(key) ? undefined : value)),
  ) as Record<string, unknown>; // a recipe is plain data
  return { name: recipe.name, path, settings };
}

const SECRET: ReadonlySet<string> = new Set(['apiKeyVariable', 'baseUrl', 'url', 'track']);
