/** @file What all stages share: the run they belong to, and the frame that makes each of them resumable. */
import type { Ranker } from '../../rank/ranker.ts';
import type { Team } from '../../ranks/team.ts';
import type { Recipe } from '../../recipe/schema.ts';
import type { Announce, StageName } from '../../store/events.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { Run } from '../../store/run-directory.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';

/** One iteration's surroundings. `iteration` counts from 1; a warm start is iteration 0. */
export interface IterationContext {
  recipe: Recipe;
  run: Run;
  ledger: Ledger;
  tokenizer: Tokenizer;
  ranker: Ranker;
  /** Of the recipe's second opinion, or of what the first is not asked about. */
  secondRanker: Ranker | null;
  /** The processes that the run has; what is written is this one's alone. */
  team: Team;
  announce: Announce;
  signal: AbortSignal | undefined;
  iteration: number;
}

/**
 * Runs a stage once: an iteration that finished it goes on behind it. The stage itself resumes by item, from what the
 * ledger holds. It returns a sentence about what it did.
 */
export async function runStage(
  context: Pick<IterationContext, 'ledger' | 'iteration' | 'announce'>,
  stage: StageName,
  body: () => Promise<string>,
): Promise<void> {
  const { ledger, iteration, announce } = context;
  if (ledger.stages.status(iteration, stage) === 'finished') {
    announce({ kind: 'stage-skipped', stage });
    return;
  }
  ledger.stages.begin(iteration, stage);
  const startedMs = performance.now();
  const summary = await body();
  finishStage(context, stage, { startedMs, summary });
}

/** Marks a stage finished, and keeps how long this attempt at it took. */
export function finishStage(
  { ledger, iteration, announce }: Pick<IterationContext, 'ledger' | 'iteration' | 'announce'>,
  stage: StageName,
  { startedMs, summary }: { startedMs: number; summary: string },
): void {
  const seconds = (performance.now() - startedMs) / 1000;
  ledger.stages.finish(iteration, stage, { seconds });
  announce({ kind: 'stage-finished', stage, seconds, summary });
}
