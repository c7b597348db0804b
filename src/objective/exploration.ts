/**
 * @file Exploration terms: what a training loss adds to the preference loss so that the policy looks beyond what it
 * already says. Float64, no tensors. To add one: a member of `Exploration`, a case in `explorationTerm`, golden values
 * in scripts/fixtures/objectives.py, its row in docs/objectives.md.
 */
import { RecipeError } from '../errors.ts';
import { sigmoid } from './sigmoid.ts';

/** Which exploration term, with its own settings. `alpha` (0 or more) is its strength. */
export type Exploration =
  | { readonly kind: 'none' }
  | { readonly kind: 'selm'; readonly alpha: number }
  | { readonly kind: 'xpo'; readonly alpha: number }
  | { readonly kind: 'popo'; readonly alpha: number }
  | { readonly kind: 'held'; readonly alpha: number }
  | { readonly kind: 'vpo'; readonly alpha: number };

/** An exploration term at one prompt: value, and derivative by the policy's log-probability of the response. */
export interface ExplorationTerm {
  readonly loss: number;
  readonly gradient: number;
}

const NOTHING: ExplorationTerm = { loss: 0, gradient: 0 };

/**
 * The exploration term of one prompt.
 *
 * - none: 0.
 * - selm: alpha beta (log pi_theta(y|x) - log pi_ref(y|x)), y sampled from pi_ref. The paper's Eq. 3.2 as a loss to
 *   be minimised (https://arxiv.org/abs/2405.19332); subtracting log pi_ref leaves the gradient alone and starts the
 *   term at 0. It pushes log pi_theta(y) down, with the same force everywhere: it has no lower bound, so alpha is
 *   small (1e-4 to 5e-3 in the paper).
 * - xpo: alpha log pi_theta(y|x), y sampled from the fixed reference. Xie et al. 2024, Algorithm 1,
 *   https://arxiv.org/abs/2405.21046, in TRL's form (XPOTrainer, default alpha 1e-5). There is no beta in it: the
 *   alpha of `selm` times beta is this alpha. Its value is far from 0, since log pi_ref is not subtracted.
 * - popo: alpha (sigma(beta l) - 1/2) / beta, l = log pi_theta(y|x) - log pi_ref(y|x), y sampled from the last policy.
 *   SE-POPO, Chen et al. 2025, https://arxiv.org/abs/2502.00666, as the authors' code has it (MYC000801/SE-POPO at
 *   2150dc5, dpo_iteration/wpo.py, loss_type popo). The force is alpha / 4 at the start and vanishes as l falls, so that
 *   the term cannot run away: it lies within alpha / (2 beta) of 0. The alpha of `selm` times 4 beta starts as strong.
 * - held: 2 alpha s l, s the size of the preference loss's own derivative at this pair, held constant: an alpha that keeps a
 *   share of the preference's gradient. For dpo s is beta sigma(-margin), so that it starts with the force of `selm` at the
 *   same alpha, alpha beta, and lets go as the pair is settled, where `selm` pulls on for ever. Selm's own; no paper's.
 * - vpo: -alpha beta l: `selm` with its sign turned, the pessimistic form of VPO (Cen et al. 2024,
 *   https://arxiv.org/abs/2405.19320: one term, whose sign says optimism or pessimism; read in its abstract only). It
 *   holds the policy to what it already says.
 *
 * @param response log-probabilities of y in nats, summed over tokens whatever the preference loss; null where a prompt
 *   has no sampled response: then nothing is added
 * @param options.beta the preference loss's beta
 * @param options.preferenceSlope mean size of the preference loss's derivatives by the two log-probabilities of the pair; only
 *   held reads it
 * @throws RecipeError OBJECTIVE_ALPHA_INVALID
 */
export function explorationTerm(
  response: { readonly policy: number; readonly reference: number } | null,
  options: { readonly exploration: Exploration; readonly beta: number; readonly preferenceSlope: number },
): ExplorationTerm {
  const { exploration, beta, preferenceSlope } = options;
  switch (exploration.kind) {
    case 'none':
      return NOTHING;
    case 'selm': {
      const { alpha } = exploration;
      checkAlpha(alpha);
      // alpha = 0 is iterative DPO bit for bit: no -0, and no rounding of a product that should not exist.
      if (response === null || alpha === 0) return NOTHING;
      const gradient = alpha * beta;
      return { loss: gradient * (response.policy - response.reference), gradient };
    }
    case 'xpo': {
      const { alpha } = exploration;
      checkAlpha(alpha);
      if (response === null || alpha === 0) return NOTHING;
      return { loss: alpha * response.policy, gradient: alpha };
    }
    case 'popo': {
      const { alpha } = exploration;
      checkAlpha(alpha);
      if (response === null || alpha === 0) return NOTHING;
      const share = sigmoid(beta * (response.policy - response.reference));
      return { loss: (alpha * (share - 0.5)) / beta, gradient: alpha * share * (1 - share) };
    }
    case 'held': {
      const { alpha } = exploration;
      checkAlpha(alpha);
      if (response === null || alpha === 0) return NOTHING;
      const gradient = 2 * alpha * preferenceSlope;
      return { loss: gradient * (response.policy - response.reference), gradient };
    }
    case 'vpo': {
      const { alpha } = exploration;
      checkAlpha(alpha);
      if (response === null || alpha === 0) return NOTHING;
      const gradient = -alpha * beta;
      return { loss: gradient * (response.policy - response.reference), gradient };
    }
    default:
      return exploration satisfies never;
  }
}

function checkAlpha(alpha: number): void {
  if (Number.isFinite(alpha) && alpha >= 0) return;
  throw new RecipeError(
    'OBJECTIVE_ALPHA_INVALID',
    `Cannot explore with alpha ${alpha}: alpha is 0 (no exploration) or a small positive number: the paper uses 0.001 or 0.0001`,
    { details: { alpha } },
  );
}
