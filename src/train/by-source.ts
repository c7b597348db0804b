/** @file The metrics of a step by the source of its pairs, where a run trains on several. */
import type { PairTree } from '../score/trees.ts';
import type { StepMetrics } from './run-steps.ts';
import type { PairResult } from './step.ts';

/** Means over the pairs of each source, such as `rewards/margins/prefs`, and how many there are; nothing of a single source. */
export function metricsBySource(
  trees: readonly Pick<PairTree, 'pairId' | 'dataset'>[],
  pairs: readonly { pairId: string; objective: Pick<PairResult['objective'], 'rewardChosen' | 'rewardRejected'> }[],
): StepMetrics {
  const sourceOf = new Map(trees.map(({ pairId, dataset }) => [pairId, dataset]));
  const names = [...new Set(sourceOf.values())].filter((name) => name !== undefined).sort();
  const metrics: StepMetrics = {};
  for (const name of names) {
    const own = pairs.filter(({ pairId }) => sourceOf.get(pairId) === name).map(({ objective }) => objective);
    metrics[`pairs/${name}`] = own.length;
    metrics[`rewards/margins/${name}`] = mean(own.map((pair) => pair.rewardChosen - pair.rewardRejected));
    metrics[`rewards/accuracies/${name}`] = mean(own.map((pair) => (pair.rewardChosen > pair.rewardRejected ? 1 : 0)));
  }
  return metrics;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
