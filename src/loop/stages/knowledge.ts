/** @file What is known before a round of questions, by everything that the ranker has said by then. */
import type { PreferenceRow } from '../../data/rows.ts';
import { drawsFrom, randomKey } from '../../random.ts';
import type { RankItem } from '../../rank/ranker.ts';
import type { SelectSettings } from '../../recipe/schema.ts';
import { needsBeliefs } from '../../recipe/select.ts';
import type { Belief } from '../../select/rule.ts';
import { RULES } from '../../select/rules.ts';
import {
  type Answers,
  type Beliefs,
  comparedPlaces,
  describeAnswers,
  learnedBeliefs,
  noBeliefs,
  policyBeliefs,
  type Telling,
  tellingComparisons,
  textsOf,
  verdictBeliefs,
} from './beliefs.ts';
import { calibrationOf } from './calibration.ts';
import { comparisonsOf } from './comparisons.ts';
import type { IterationContext } from './stage.ts';

/** Beliefs about answers, and what comparisons tell, where that decides something. */
export interface Knowledge {
  beliefs: Beliefs;
  telling: ReadonlyMap<string, Telling>;
  /** How far the odds of whoever believes can be trusted; 1: taken at their word. */
  slope: number;
}

/** Gives what is known now. `asked`: prompts that were asked about in earlier rounds, and have their verdicts. */
export type Learner = (asked: ReadonlySet<string>) => Knowledge;

interface LearnerInput {
  settings: SelectSettings;
  /** Rows of earlier slices, whose labels were given. */
  earlierRows?: readonly PreferenceRow[];
  policyDirectory: string;
}

/** Makes what no answer changes (descriptions of answers, margins of the policy), which is what takes time. */
export async function openLearner(
  context: IterationContext,
  items: readonly RankItem[],
  { settings, earlierRows = [], policyDirectory }: LearnerInput,
): Promise<Learner> {
  const answers = items.map((item): Answers => ({ ...item, texts: textsOf(item) }));
  const fixed = (beliefs: Beliefs): Knowledge => ({ beliefs, telling: new Map(), slope: 1 });
  if (!needsBeliefs(settings)) {
    const nothing = fixed(noBeliefs(answers));
    return () => nothing;
  }
  switch (settings.beliefs) {
    case 'policy': {
      const margins = fixed(await policyBeliefs(context, answers, policyDirectory));
      return () => margins;
    }
    case 'reward-model': {
      const described = await describeAnswers(context, answers, earlierRows);
      return (asked) => {
        const compared = comparedPlaces(described, comparedNow(context, answers));
        const beliefs = learnedBeliefs(described, compared, context.recipe.seed);
        if (![settings.answers, settings.prompts].includes('information')) return fixed(beliefs);
        const open = answers.flatMap(({ promptId, texts }): [string, readonly [number, number] | null][] => {
          if (asked.has(promptId) || texts.length < 2) return [];
          const own = { settings, beliefs: beliefs.get(promptId) ?? [] };
          return [[promptId, settings.answers === 'information' ? null : pairOf(context, promptId, own)]];
        });
        return { ...fixed(beliefs), telling: tellingComparisons(described, { compared, open: new Map(open) }) };
      };
    }
    case 'otherwise': {
      const { ledger, iteration, secondRanker } = context;
      const own = ledger.rankings(iteration).filter(({ rankerId }) => rankerId === secondRanker?.id);
      const verdicts = fixed(verdictBeliefs(answers, new Map(own.map((ranking) => [ranking.promptId, ranking]))));
      return () => ({ ...verdicts, slope: calibrationOf(context)?.slope ?? 1 });
    }
  }
}

/** The two texts that a rule picks; without a rule the best and the worst as they are believed to be. */
export function pairOf(
  { recipe, iteration }: IterationContext,
  promptId: string,
  { settings, beliefs }: { settings: SelectSettings; beliefs: readonly Belief[] },
): readonly [number, number] {
  const draw = drawsFrom(randomKey(recipe.seed, 'select answers', iteration, promptId));
  const { answers } = settings;
  return RULES[answers === 'all' || answers === 'information' ? 'large-gap' : answers](beliefs, draw);
}

/** Winner and loser of each prompt of this iteration that was compared, as indices of its texts; what somebody wrote anew is none of them. */
function comparedNow(context: IterationContext, answers: readonly Answers[]): Map<string, readonly [number, number]> {
  const compared = comparisonsOf(context, context.iteration);
  return new Map(
    answers.flatMap(({ promptId, texts }): [string, readonly [number, number]][] => {
      const own = compared.get(promptId);
      const [winner, loser] = own === undefined ? [-1, -1] : [texts.indexOf(own.chosen), texts.indexOf(own.rejected)];
      return winner < 0 || loser < 0 ? [] : [[promptId, [winner, loser]]];
    }),
  );
}
