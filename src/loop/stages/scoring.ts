/** @file All ranks score sequences under a model that does not change: for the reference, and for measurements. */
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import { readModelConfig } from '../../model/read-config.ts';
import { longAfter } from '../../model/rope.ts';
import type { SharedWork } from '../../ranks/team.ts';
import { batchesToScore, scoreBatches } from '../../score/log-probs.ts';
import { openPolicy, type PolicyOptions } from '../../score/policy.ts';
import type { TokenTree, TreeLogProbs } from '../../score/trees.ts';
import type { IterationContext } from './stage.ts';
import type { TrainingRecipe } from './training-settings.ts';

/** Which model scores, and how its weights are read. */
export interface ScoringSetting extends Pick<PolicyOptions, 'dtype' | 'frozen'> {
  modelDirectory: string;
  device: string;
}

/** Scoring as work on batches: a batch is the same whoever scores it, and so are its bits. */
export const scoringWork: SharedWork<ScoringSetting, readonly TokenTree[], Map<string, TreeLogProbs>> = {
  name: 'score',
  async *run({ modelDirectory, device, ...options }, batches, { signal }) {
    if (batches.length === 0) return;
    using policy = withModel(modelDirectory, (model) => openPolicy(model, { ...options, purpose: 'score' }), {
      device,
    });
    for await (const scores of scoreBatches(policy, batches)) {
      yield scores;
      signal?.throwIfAborted();
    }
  },
};

/** The part of its surroundings that scoring uses. */
export type ScoringContext = Pick<IterationContext, 'team' | 'signal'> & { recipe: TrainingRecipe };

/** Scores the trees of some steps that are not `known`, batch by batch. */
export function scoreTogether(
  { recipe, team, signal }: ScoringContext,
  steps: readonly (readonly TokenTree[])[],
  {
    known = new Map(),
    ...model
  }: Omit<ScoringSetting, 'device'> & { known?: ReadonlyMap<string, TreeLogProbs> | undefined },
): AsyncIterable<Map<string, TreeLogProbs>> {
  const long = longAfter(readModelConfig(baseDirectory(model.modelDirectory)));
  const { microBatchTokens } = recipe.training;
  const batches = batchesToScore(steps, { microBatchTokens, known, longAfter: long });
  return team.share(scoringWork, { ...model, device: recipe.device }, batches, signal);
}
