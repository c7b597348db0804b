/**
 * @file GEB's exploratory bonus, which pushes down what the policy says by a function of its probability. A whole text of a language
 * model has a probability of e^-100 and less, at which every form of it has the derivative 0: selm's runs do not have it, the
 * benchmark's worlds of single tokens do.
 */

/**
 * What of the probability is made large: u of the paper, whose mean is the bonus where the divergence is the reverse KL.
 * - linear: a constant minus pi (the code's geb_p).
 * - inverse: 1 / pi (geb_f).
 * - arctanh: arctanh(1 - pi) (geb_tanh).
 */
export const BONUS_FORMS = ['linear', 'inverse', 'arctanh'] as const;

/** The bonus with its strength. */
export interface ExploratoryBonus {
  readonly form: (typeof BONUS_FORMS)[number];
  /** 0 or more; 0 leaves it out. */
  readonly alpha: number;
}

/** The term at one response: value, and derivative by the policy's log-probability of it. */
export interface BonusTerm {
  readonly loss: number;
  readonly gradient: number;
}

/** Keeps the forms finite where the probability is 0 or 1. */
const SMALL = 1e-5;

/**
 * alpha pi, -alpha / (pi + 1e-5) or -alpha arctanh(1 - pi - 1e-5), pi = pi_theta(y|x), y the rejected response: Li, Oh and Li 2025,
 * https://arxiv.org/abs/2510.03269, for the reverse KL, as the authors' code has it (WindyLee0822/GEB at 0847899,
 * dpo_iteration/wpo.py). The paper's expectation is over samples of the reference; the code takes the rejected one of two.
 *
 * @param logProb log pi_theta(y|x) in nats
 */
export function bonusTerm(logProb: number, { form, alpha }: ExploratoryBonus): BonusTerm {
  if (alpha === 0) return { loss: 0, gradient: 0 };
  const probability = Math.exp(logProb);
  switch (form) {
    case 'linear':
      return { loss: alpha * probability, gradient: alpha * probability };
    case 'inverse':
      return { loss: -alpha / (probability + SMALL), gradient: (alpha * probability) / (probability + SMALL) ** 2 };
    case 'arctanh': {
      const argument = 1 - probability - SMALL;
      return { loss: -alpha * Math.atanh(argument), gradient: (alpha * probability) / (1 - argument * argument) };
    }
  }
}
