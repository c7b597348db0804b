/** @file What a process that runs something is sent, and what it sends: plain data. */
import type { HubPin } from '../../hub/fetch.ts';
import type { Recipe } from '../../recipe/schema.ts';
import type { LoopEvent } from '../../store/events.ts';

/** The iterations of a run's twin, and nothing beside them. */
export interface TwinWork {
  recipe: Recipe;
  /** The commits of the run. */
  hub: readonly HubPin[];
  threads: number;
  acceptChanges: boolean;
  waits: boolean;
}

/** What a process does: a whole run, as `selm train` does it, or a twin. */
export type ProcessWork = { kind: 'recipe'; recipe: Recipe; acceptChanges: boolean } | ({ kind: 'twin' } & TwinWork);

/** How a process ended. */
export type ProcessEnd =
  | { kind: 'finished' }
  | { kind: 'failed'; code: string; message: string }
  /** It was stopped, and what is finished is saved. */
  | { kind: 'stopped' }
  /** Without a word: what the system knows of it, and the last that it wrote, as the end of a sentence. */
  | { kind: 'lost'; how: string; said: string };

export type ToProcess = { kind: 'work'; work: ProcessWork } | { kind: 'stop' };
export type FromProcess =
  | { kind: 'ready' }
  | { kind: 'event'; event: LoopEvent }
  | { kind: 'end'; end: Exclude<ProcessEnd, { kind: 'lost' }> };
