/** @file How far a run is: finished, at work, stopped, waiting or failed, from its ledger and its lock. */
import { join } from 'node:path';
import { lockHolder } from '../files/lock.ts';
import { lastStage } from '../recipe/iterations.ts';
import type { Recipe } from '../recipe/schema.ts';
import { describeStanding } from './course.ts';
import type { Ledger } from './ledger.ts';
import type { StageRecord } from './ledger-rows.ts';

/** `stage` is the last that was begun; null in a run that has only been created. */
export type RunState =
  /** `early`: why it ended before its last iteration, where it did. */
  | { kind: 'finished'; early: string | null }
  | { kind: 'running' | 'stopped'; stage: StageRecord | null }
  | { kind: 'waiting' | 'failed'; stage: StageRecord };

/** The state of the run in a directory. A run whose process is gone is stopped, whatever its stages say. */
export function runState(path: string, recipe: Pick<Recipe, 'iterations' | 'evaluate'>, ledger: Ledger): RunState {
  return stateUntil(
    { stage: lastStage(recipe), iteration: recipe.iterations },
    {
      path,
      ledger,
      early: endOf(recipe, ledger),
    },
  );
}

/** The state of the supervised fine-tuning in a directory. */
export function fineTuningState(path: string, ledger: Ledger): RunState {
  return stateUntil({ stage: 'sft', iteration: 0 }, { path, ledger, early: null });
}

/** The state of a run whose last stage is `last`; `early`: why it ended before, where it did. */
function stateUntil(
  last: Pick<StageRecord, 'stage' | 'iteration'>,
  { path, ledger, early }: { path: string; ledger: Ledger; early: string | null },
): RunState {
  const stages = ledger.stages.all();
  const open = stages.findLast(({ status }) => status !== 'finished') ?? null;
  if (lockHolder(join(path, 'run.lock')) !== null) return { kind: 'running', stage: open ?? stages.at(-1) ?? null };
  if (open?.status === 'waiting' || open?.status === 'failed') return { kind: open.status, stage: open };
  const isOver = stages.some((each) => each.stage === last.stage && each.iteration === last.iteration);
  const ended = open === null && !isOver ? early : null;
  return open === null && (isOver || ended !== null)
    ? { kind: 'finished', early: ended }
    : { kind: 'stopped', stage: open ?? stages.at(-1) ?? null };
}

/** Why a run ended that was told to end on a regression, by its last iteration; null where it did not. */
function endOf({ evaluate }: Pick<Recipe, 'evaluate'>, ledger: Ledger): string | null {
  const last = ledger.records('standing').at(-1);
  return evaluate.stopOnRegression !== null && last?.record.ends === true
    ? describeStanding(last.iteration, last.record)
    : null;
}

/** The state as a sentence, or null of a run that finished all that it was to do. */
export function describeState(state: RunState, { iterations }: Pick<Recipe, 'iterations'>): string | null {
  const place = 'stage' in state && state.stage !== null ? placeOf(state.stage, iterations) : 'before its first stage';
  switch (state.kind) {
    case 'finished':
      return state.early === null ? null : `The run ended early: ${state.early}.`;
    case 'running':
      return `The run goes on: ${place}.`;
    case 'stopped':
      return `The run was stopped: ${place}. The same command goes on with it.`;
    case 'waiting':
      return `The run waits: ${place}.`;
    case 'failed':
      return `The run failed: ${place}: ${state.stage.error?.message ?? 'no reason was kept'} (${state.stage.error?.code ?? 'unknown'})`;
  }
}

function placeOf({ iteration, stage }: StageRecord, iterations: number): string {
  return iteration === 0
    ? `before iteration 1, stage ${stage}`
    : `iteration ${iteration} of ${iterations}, stage ${stage}`;
}
