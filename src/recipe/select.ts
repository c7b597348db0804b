/** @file The section `select` of a recipe: what the ranker is asked about, where its labels are dear. */
import { z } from 'zod';
import { PROMPT_ORDERS } from '../select/prompts.ts';
import { RULES, type SelectRuleName } from '../select/rules.ts';
import { integer, number, oneOf } from './fields.ts';
import { rankerSchema } from './rankers.ts';

const RULE_NAMES = Object.keys(RULES) as [SelectRuleName, ...SelectRuleName[]];

/** Picks the two whose comparison tells most (src/select/information.ts): it sees all prompts at once, which no rule of one prompt does. */
const BY_INFORMATION = 'information';

/** Rules that look at how much is known of a reward, not at the estimate alone. */
export const RULES_OF_DOUBT: ReadonlySet<string> = new Set<SelectRuleName | typeof BY_INFORMATION>([
  'double-thompson',
  'double-reverse-thompson',
  'delta-ucb',
  'info-max',
  'max-min-lcb',
  BY_INFORMATION,
]);

/** Whether anything is decided by what is believed of answers. */
export function needsBeliefs({ prompts, answers }: { prompts: string; answers: string }): boolean {
  return !['random', 'entropy'].includes(prompts) || !['all', 'random'].includes(answers);
}

export const select = z
  .strictObject({
    budget: integer(1)
      .nullable()
      .default(null)
      .describe('Labels an iteration, each a comparison of two answers (times votes where people rank); null: no limit')
      .meta({ change: 'select' }),
    prompts: oneOf(PROMPT_ORDERS)
      .default('random')
      .describe(
        'Which prompts come first. entropy: where the policy is least sure. small-gap, large-gap: where the answers are believed closest or farthest apart. doubt: where it is least known which is better. calibration: where a label tells most about how far the odds can be trusted. information: where a label tells most that the labels before it did not',
      )
      .meta({ change: 'select' }),
    answers: oneOf(['all', ...RULE_NAMES, BY_INFORMATION])
      .default('all')
      .describe(
        'Which answers of a prompt are ranked: all, or the two that a rule picks by what is believed of them; information: the two whose comparison tells most',
      )
      .meta({ change: 'select' }),
    beliefs: oneOf(['policy', 'reward-model', 'otherwise'])
      .default('policy')
      .describe(
        "Where beliefs come from. policy: its implicit reward, beta times the log-ratio to the model before the first iteration. reward-model: linear heads on that model's last hidden states, learned from the labels so far. otherwise: what the other ranker says",
      )
      .meta({ change: 'select' }),
    randomShare: number('a number from 0 to 1', (value) => value >= 0 && value <= 1)
      .default(0.1)
      .describe('Share of the budget that goes to prompts and answers by chance, as a control')
      .meta({ change: 'select' }),
    rounds: integer(1)
      .default(1)
      .describe(
        'Parts in which the budget is spent: the answers of one teach what the next asks about. As many as labels: each question is chosen by all answers before it',
      )
      .meta({ change: 'select' }),
    otherwise: rankerSchema
      .nullable()
      .default(null)
      .describe(
        'Ranks every prompt too, and decides where the ranker was not asked; null: those make no pair, unless secondOpinion.unasked or rewardModel ranks them',
      )
      .meta({ change: 'select' }),
  })
  .nullable()
  .default(null)
  .describe('What the ranker is asked about under a budget of labels; null: everything')
  .meta({ change: 'select' });
