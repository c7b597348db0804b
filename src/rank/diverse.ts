/**
 * @file Diverse preference optimisation's pair (DivPO, Lanchantin et al. 2025, https://arxiv.org/abs/2501.18101): of the
 * better half the rarest answer, of the worse half the commonest. Rare is what the policy finds improbable. The rule was read in
 * the abstract and under Figure 1 of the paper, whose bars are thresholds of reward; halves are selm's choice, since a ranker may
 * only order.
 */

/**
 * The chosen and the rejected of ranked answers.
 *
 * @param ranked indices from best to worst, two or more
 * @param logProbs of each answer under the policy that gave it
 */
export function diversePair(ranked: readonly number[], logProbs: readonly number[]): readonly [number, number] {
  const half = Math.ceil(ranked.length / 2);
  const logProb = (index: number): number => logProbs[index] ?? 0;
  const better = ranked.slice(0, half);
  const worse = ranked.slice(-Math.floor(ranked.length / 2));
  const rarest = better.reduce((rare, index) => (logProb(index) < logProb(rare) ? index : rare));
  const commonest = worse.reduce((common, index) => (logProb(index) > logProb(common) ? index : common));
  return [rarest, commonest];
}
