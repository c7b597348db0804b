/** @file All ranks describe answers by the last hidden states of a model that does not change. */
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import { readModelConfig } from '../../model/read-config.ts';
import { longAfter } from '../../model/rope.ts';
import type { SharedWork } from '../../ranks/team.ts';
import { describeTrees } from '../../score/describe.ts';
import { batchesToScore } from '../../score/log-probs.ts';
import { packTrees } from '../../score/packing.ts';
import { openPolicy } from '../../score/policy.ts';
import type { TokenTree } from '../../score/trees.ts';
import type { ScoringContext, ScoringSetting } from './scoring.ts';

/** Describing as work on batches: a batch is the same whoever reads it, and so are its numbers. */
export const describingWork: SharedWork<ScoringSetting, readonly TokenTree[], Map<string, Float64Array[]>> = {
  name: 'describe',
  async *run({ modelDirectory, device, ...options }, batches, { signal }) {
    if (batches.length === 0) return;
    using policy = withModel(modelDirectory, (model) => openPolicy(model, { ...options, purpose: 'score' }), {
      device,
    });
    for (const trees of batches) {
      yield describeTrees(policy, packTrees(trees, longAfter(policy.config)));
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  },
};

/** Describes the continuations of trees, batch by batch. */
export function describeTogether(
  { recipe, team, signal }: ScoringContext,
  trees: readonly TokenTree[],
  modelDirectory: string,
): AsyncIterable<Map<string, Float64Array[]>> {
  const { microBatchTokens, dtype } = recipe.training;
  const long = longAfter(readModelConfig(baseDirectory(modelDirectory)));
  const batches = batchesToScore([trees], { microBatchTokens, known: new Map(), longAfter: long });
  const setting = { modelDirectory, dtype, frozen: 'copied', device: recipe.device } as const;
  return team.share(describingWork, setting, batches, signal);
}
