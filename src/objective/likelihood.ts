/**
 * @file The likelihood of the chosen response beside the preference loss. A preference loss looks at differences only, and
 * lowers both responses of a pair as long as the rejected one falls faster; this term says how probable the chosen one
 * should be. Float64, no tensors.
 */
import { RecipeError, TrainingError } from '../errors.ts';

/** The term at one pair: value, and derivative by the policy's summed log-probability of the chosen response. */
export interface LikelihoodTerm {
  readonly loss: number;
  readonly gradient: number;
}

const NOTHING: LikelihoodTerm = { loss: 0, gradient: 0 };

/**
 * -weight log pi_theta(chosen|x) / tokens: the negative log-likelihood of iterative RPO, Pang et al. 2024,
 * https://arxiv.org/abs/2404.19733, per token of the response. TRL's `rpo_alpha`, later its loss type `sft`, averages over
 * all tokens of a batch instead of over its responses: the same where the chosen responses are equally long.
 *
 * @param chosen summed log-probability in nats, and the number of tokens that were scored
 * @param weight 0 (nothing is added, bit for bit) or a positive number; the paper's is 1
 * @throws RecipeError OBJECTIVE_WEIGHT_INVALID
 * @throws TrainingError OBJECTIVE_LENGTH_INVALID
 */
export function likelihoodTerm(
  chosen: { readonly logProb: number; readonly length: number },
  weight: number,
): LikelihoodTerm {
  if (!(Number.isFinite(weight) && weight >= 0)) {
    throw new RecipeError(
      'OBJECTIVE_WEIGHT_INVALID',
      `Cannot weigh the likelihood of the chosen response by ${weight}: it is 0 (left out) or a positive number: the paper uses 1`,
      { details: { weight } },
    );
  }
  if (weight === 0) return NOTHING;
  if (!(Number.isInteger(chosen.length) && chosen.length >= 1)) {
    throw new TrainingError(
      'OBJECTIVE_LENGTH_INVALID',
      `Cannot average the log-probability of the chosen response over ${chosen.length} tokens: its likelihood needs the number of scored tokens, 1 or more`,
      { details: { which: 'chosen', length: chosen.length } },
    );
  }
  const gradient = -weight / chosen.length;
  return { loss: gradient * chosen.logProb, gradient };
}
