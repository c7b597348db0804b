/**
 * @file COPO's count-based exploration, where responses can be counted: raises the probability of what was seldom seen. A
 * language model's responses hardly ever repeat, so its authors estimate counts with a second network; selm's runs do not.
 */

/** The term at one response: value, and derivative by the policy's log-probability of it. */
export interface CountTerm {
  readonly loss: number;
  readonly gradient: number;
}

/**
 * -alpha w log pi_theta(y|x), w = min(5, pi_theta(y|x) / pi_ref(y|x)) / sqrt(n) held constant: Bai et al. 2025,
 * https://arxiv.org/abs/2501.12735, as the authors' code has it (Baichenjia/COPO at 837fab4, scripts/copo_trainer.py) with
 * an exact count in place of its coin-flip network.
 *
 * @param response log-probabilities of y in nats under both, y sampled from the reference
 * @param visits n, how often y was sampled, this time included: 1 or more
 */
export function countTerm(
  response: { readonly policy: number; readonly reference: number; readonly visits: number },
  alpha: number,
): CountTerm {
  if (alpha === 0) return { loss: 0, gradient: 0 };
  const ratio = Math.min(5, Math.exp(response.policy - response.reference));
  const gradient = (-alpha * ratio) / Math.sqrt(response.visits);
  return { loss: gradient * response.policy, gradient };
}
