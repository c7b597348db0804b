/** @file Every rule of selection, by the name that settings give it. */
import { deltaUcb } from './delta-ucb.ts';
import { doubleReverseThompson } from './double-reverse-thompson.ts';
import { doubleThompson } from './double-thompson.ts';
import { infoMax } from './info-max.ts';
import { largeGap } from './large-gap.ts';
import { maxMinLowerBound } from './max-min-lower-bound.ts';
import { randomPair } from './random-pair.ts';
import type { SelectRule } from './rule.ts';
import { smallGap } from './small-gap.ts';

/** Every rule by the name that settings give it. */
export const RULES = {
  random: randomPair,
  'small-gap': smallGap,
  'large-gap': largeGap,
  'double-thompson': doubleThompson,
  'double-reverse-thompson': doubleReverseThompson,
  'delta-ucb': deltaUcb,
  'info-max': infoMax,
  'max-min-lcb': maxMinLowerBound,
} as const satisfies Record<string, SelectRule>;

export type SelectRuleName = keyof typeof RULES;
