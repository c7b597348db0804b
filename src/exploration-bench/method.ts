/** @file What a method of the benchmark is: how it samples, which answers it asks about, what it minimises. */
import type { ExploratoryBonus } from '../objective/exploratory-bonus.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import type { SelectRuleName } from '../select/rules.ts';

/**
 * How a prompt's answers become a pair.
 * - rank: all are ranked, and a rule makes a pair of the verdict, or all-pairs one of every two; n answers cost n - 1 labels.
 * - ask: a rule picks two by what is believed of them, and only those are compared: one label. Beliefs are the policy's own
 *   (its implicit reward), or those of reward models learned from the labels so far.
 * - inform: the two whose comparison tells most of a linear reward that earlier ones did not (src/select/information.ts): one label.
 */
export type Pairing =
  | { readonly kind: 'rank'; readonly rule: 'best-and-worst' | 'diverse' | 'all-pairs' }
  | { readonly kind: 'ask'; readonly rule: SelectRuleName; readonly beliefs: 'implicit' | 'learned' }
  | { readonly kind: 'inform' };

/** One method. */
export interface Method {
  readonly name: string;
  readonly objective: ObjectiveOptions;
  /** Answers to a prompt, each visit; and the temperature that they are sampled at. */
  readonly samples: number;
  readonly temperature: number;
  /** Temperature of all answers but the first, where it is another. */
  readonly partnerTemperature?: number;
  readonly pairing: Pairing;
  /** any: prompts in their order. entropy: of four times as many visits, those whose answers the policy is least sure of. */
  readonly prompts: 'any' | 'entropy';
  /** What the loss holds the policy to. */
  readonly reference: 'previous' | 'initial';
  /** Train on the pairs of all iterations so far, not of the last alone. */
  readonly accumulate: boolean;
  /** Passes over an iteration's pairs, where it is not the budget's number. */
  readonly passes?: number;
  /** Weight of COPO's count bonus with exact counts; 0 leaves it out. */
  readonly countBonus: number;
  /** GEB's bonus at the rejected answer, where there is one. */
  readonly exploratoryBonus?: ExploratoryBonus;
}

/** How much a run asks and learns: the same for all methods. */
export interface Budget {
  /** Labels in all. */
  readonly labels: number;
  /** Labels between two policies. */
  readonly labelsAnIteration: number;
  /** Passes over an iteration's pairs, pairs of a step, rate of plain gradient descent. */
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
}
