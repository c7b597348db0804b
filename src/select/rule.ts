/**
 * @file Which two of a prompt's answers are shown to whoever labels, where labels are expensive. One signature for all rules:
 * what is believed of each answer's reward, to two indices. One file a rule; rules.ts lists them. Pure.
 */

/** What is believed of an answer's reward: the estimate, and bounds that it lies within. Equal bounds: no doubt. */
export interface Belief {
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
}

/**
 * Two different indices of the beliefs; their order says nothing, the label does.
 *
 * @param beliefs two or more
 * @param draw uniform numbers in [0, 1), a new one each call; rules without chance do not call it
 */
export type SelectRule = (beliefs: readonly Belief[], draw: () => number) => readonly [number, number];
