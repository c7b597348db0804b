/**
 * @file Which prompts come first where labels are dear: by how much a question about their answers is worth, in one order or
 * another. One number a prompt, the highest first. Pure.
 */
import { sigmoid } from '../objective/sigmoid.ts';
import type { Belief } from './rule.ts';

/**
 * Orders of prompts, by the two answers that would be asked about.
 * - random: by chance.
 * - entropy: where the policy is least sure what to say (APL's first step, arXiv 2402.08114).
 * - small-gap: where they are believed closest in reward (arXiv 2508.04149).
 * - large-gap: where they are believed farthest apart (APL's second step).
 * - doubt: where it is least known which of them is better: the widest interval of the win probability (InfoMax).
 * - calibration: where a label tells most about how far the win probabilities can be trusted. Expected information on b of
 *   P(win) = sigma(b gap): sigma(b gap) sigma(-b gap) gap^2, at b = 1 most at 92:8, little where it is sure or at a loss.
 * - information: where a label tells most of a linear reward that the labels before it did not (information.ts).
 */
export const PROMPT_ORDERS = [
  'random',
  'entropy',
  'small-gap',
  'large-gap',
  'doubt',
  'calibration',
  'information',
] as const;
export type PromptOrder = (typeof PROMPT_ORDERS)[number];

/** What is known of a prompt. */
export interface PromptFacts {
  /** Of the answers that would be asked about. */
  readonly pair: readonly [Belief, Belief];
  /** Entropy of the policy's answers, in nats. */
  readonly entropy: number;
  /** What the comparison tells beside those that tell more, in nats; 0 where nobody computed it. */
  readonly information: number;
  /** b of the calibration, as far as it is known (calibration.ts). @default 1 */
  readonly slope?: number;
}

/** How early a prompt comes; of equal ones, chance decides elsewhere. */
export function promptValue(
  order: PromptOrder,
  { pair: [a, b], entropy, information, slope = 1 }: PromptFacts,
): number {
  switch (order) {
    case 'random':
      return 0;
    case 'entropy':
      return entropy;
    case 'information':
      return information;
    case 'small-gap':
      return -Math.abs(a.mean - b.mean);
    case 'large-gap':
      return Math.abs(a.mean - b.mean);
    case 'calibration': {
      const gap = a.mean - b.mean;
      return sigmoid(slope * gap) * sigmoid(-slope * gap) * gap * gap;
    }
    case 'doubt': {
      const [low, high] = winInterval(a, b);
      return high - low;
    }
  }
}

/** Bounds of the probability that the first answer is better, by Bradley and Terry. */
export function winInterval(a: Belief, b: Belief): [low: number, high: number] {
  return [sigmoid(a.lower - b.upper), sigmoid(a.upper - b.lower)];
}

/**
 * Entropy of the policy's answers to a prompt, estimated from some that it gave: the mean of -log pi(y|x), in nats.
 *
 * @param logProbs of whole answers; none gives 0
 */
export function answerEntropy(logProbs: readonly number[]): number {
  return logProbs.length === 0 ? 0 : -logProbs.reduce((sum, each) => sum + each, 0) / logProbs.length;
}
