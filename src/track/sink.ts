/**
 * @file A tracker as a run sees it: a place that takes the numbers of steps. Every sink keeps the same promises, and
 * one contract test asks them of all (sinks.test.ts).
 */
import type { TrackerKind } from '../recipe/track.ts';
import type { MetricGroup } from './names.ts';

/** Numbers at one step of a run. */
export interface TrackedStep {
  /** `train`: of that step. `eval`: what was measured of the model that so many steps made. */
  group: MetricGroup;
  /** Over the whole run, from 0: the steps of an iteration follow those of the one before. A model is measured at the step that comes next. */
  step: number;
  /** When it was made, in milliseconds since 1970. */
  timeMs: number;
  /** Under TRL's names; all finite. */
  values: Readonly<Record<string, number>>;
}

/** What a tracker has of a run. */
export interface TrackedSoFar {
  /** The first step of training to hand over. */
  nextStep: number;
  /** By measure, the last step at which the tracker has it. */
  measured: Readonly<Record<string, number>>;
}

/** How a run ended. `stopped`: it was asked to, and can go on. */
export type Outcome = 'finished' | 'stopped' | 'failed';

/** What of a run a tracker shows. */
export interface TrackedRun {
  name: string;
  /** The run directory, absolute. */
  path: string;
  /** The settings, without what may hold a secret. */
  settings: Readonly<Record<string, unknown>>;
}

/**
 * A tracker. The caller makes one call at a time, and hands over steps in their order. A call that fails may be made again:
 * what the tracker holds already is then not doubled.
 */
export interface MetricSink {
  readonly kind: TrackerKind;
  /** Begins the tracker's run, or goes on with the one that an earlier process began. Returns what it has. */
  open(): Promise<TrackedSoFar>;
  write(steps: readonly TrackedStep[]): Promise<void>;
  /** The last call. Null, or a sentence for the user: what to do with what was written. */
  close(outcome: Outcome): Promise<string | null>;
}
