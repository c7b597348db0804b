/** @file Who labels in a world: comparisons by Bradley and Terry, rankings by Plackett and Luce, which agree for two. */
import { type World, winProbability } from './world.ts';

/** Which of two responses wins: one label. */
export function compare(world: World, [first, second]: readonly [number, number], draw: () => number): number {
  return draw() < winProbability(world, first, second) ? first : second;
}

/**
 * Responses from best to worst: rewards with Gumbel noise, sorted, which is a draw of the Plackett-Luce model and for two of
 * them a Bradley-Terry comparison. A ranking of n costs n - 1 labels.
 */
export function rank({ settings, rewards }: World, responses: readonly number[], draw: () => number): number[] {
  const noisy = responses.map((response, place) => {
    const gumbel = -Math.log(-Math.log(Math.max(draw(), 1e-300)));
    return { response, place, score: settings.labelScale * (rewards[response] ?? 0) + gumbel };
  });
  return noisy.sort((a, b) => b.score - a.score || a.place - b.place).map(({ response }) => response);
}
