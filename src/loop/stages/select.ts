/**
 * @file The stage that selects: which prompts the ranker is asked about under a budget of labels, and which of their answers. What
 * is asked, and why, stands in the ledger before anything is ranked, so that a run that is started again asks the same.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { sigmoid } from '../../objective/sigmoid.ts';
import { type RandomKey, randomKey, uniformAt } from '../../random.ts';
import { DRAWN, oddsText } from '../../rank/doubt.ts';
import { describeRanker } from '../../rank/open.ts';
import { mostQuestions } from '../../rank/people/order.ts';
import type { RankItem } from '../../rank/ranker.ts';
import type { RankerSettings, SelectSettings } from '../../recipe/schema.ts';
import { withinBudget } from '../../select/budget.ts';
import { indifferentPrompts, LAST } from '../../select/indifferent.ts';
import { answerEntropy, promptValue, winInterval } from '../../select/prompts.ts';
import type { Belief } from '../../select/rule.ts';
import { RULES } from '../../select/rules.ts';
import type { RecordOf } from '../../store/records.ts';
import {
  type Answers,
  type Beliefs,
  describeAnswers,
  learnedBeliefs,
  noBeliefs,
  policyBeliefs,
  type Telling,
  tellingComparisons,
  textsOf,
  verdictBeliefs,
} from './beliefs.ts';
import { rankItems } from './rank.ts';
import type { IterationContext } from './stage.ts';

interface SelectInput {
  rows: readonly PreferenceRow[];
  /** Rows of earlier slices, whose labels were given. */
  earlierRows?: readonly PreferenceRow[];
  policyDirectory: string;
}

/** A question that could be asked: two texts of a prompt, or all of them. */
interface Question {
  item: RankItem;
  texts: readonly string[];
  /** Indices of the texts that its worth is judged by. */
  pair: readonly [number, number];
  beliefs: readonly Belief[];
  entropy: number;
  /** What comparing the two tells, in nats. */
  information: number;
}

/** Decides what is asked, and writes it to the ledger. */
export async function selectQuestions(context: IterationContext, input: SelectInput): Promise<string> {
  const { recipe, ledger, iteration, announce } = context;
  const settings = recipe.select;
  if (settings === null) return 'everything is ranked';
  const items = rankItems(ledger, iteration, input.rows);
  announce({ kind: 'stage-started', stage: 'select', total: items.length, done: 0, unit: 'prompts' });
  const answers = items.map((item): Answers => ({ ...item, texts: textsOf(item) }));
  const { beliefs, telling } = await knowledgeOf(context, answers, { settings, input });
  const surprise = logProbsByPrompt(context);
  const questions = items.flatMap((item): Question[] => {
    const [known, texts] = [beliefs.get(item.promptId) ?? [], textsOf(item)];
    // Nothing to compare: the pair stage says so.
    if (texts.length < 2) return [];
    const entropy = answerEntropy(surprise.get(item.promptId) ?? []);
    const { pair = pairOf(context, item.promptId, { settings, beliefs: known }), nats: information = 0 } =
      telling.get(item.promptId) ?? {};
    return [{ item, texts, beliefs: known, entropy, information, pair }];
  });
  const asked = chosenQuestions(context, questions, settings);
  const name = believerName(settings);
  ledger.putRecord(iteration, 'selection', {
    asked: asked.map(({ question, isDrawn }) => recordOf(context, question, { settings, isDrawn, name })),
    passed: items.length - asked.length,
  });
  const labels = asked.reduce((sum, { question }) => sum + labelsOf(question, settings, recipe.ranker), 0);
  const drawn = asked.filter(({ isDrawn }) => isDrawn).length;
  return `${asked.length} of ${items.length} prompts, ${labels} labels at most, ${drawn} of them drawn at random`;
}

/** What is known before anything is asked: beliefs about answers, and what comparisons tell, where that decides something. */
interface Knowledge {
  beliefs: Beliefs;
  telling: ReadonlyMap<string, Telling>;
}

async function knowledgeOf(
  context: IterationContext,
  answers: readonly Answers[],
  { settings, input }: { settings: SelectSettings; input: SelectInput },
): Promise<Knowledge> {
  const without = (beliefs: Beliefs): Knowledge => ({ beliefs, telling: new Map() });
  if (!needsBeliefs(settings)) return without(noBeliefs(answers));
  switch (settings.beliefs) {
    case 'policy':
      return without(await policyBeliefs(context, answers, input.policyDirectory));
    case 'reward-model': {
      const described = await describeAnswers(context, answers, input.earlierRows ?? []);
      const beliefs = learnedBeliefs(described, context.recipe.seed);
      if (settings.answers === 'information') return { beliefs, telling: tellingComparisons(described, null) };
      if (settings.prompts !== 'information') return without(beliefs);
      const several = answers.filter(({ texts }) => texts.length > 1);
      const pairs = several.map(({ promptId }): [string, readonly [number, number]] => [
        promptId,
        pairOf(context, promptId, { settings, beliefs: beliefs.get(promptId) ?? [] }),
      ]);
      return { beliefs, telling: tellingComparisons(described, new Map(pairs)) };
    }
    case 'otherwise': {
      const { ledger, iteration, secondRanker } = context;
      const own = ledger.rankings(iteration).filter(({ rankerId }) => rankerId === secondRanker?.id);
      return without(verdictBeliefs(answers, new Map(own.map((ranking) => [ranking.promptId, ranking]))));
    }
  }
}

/** Whether anything is decided by what is believed of answers. */
export function needsBeliefs({ prompts, answers }: Pick<SelectSettings, 'prompts' | 'answers'>): boolean {
  return !['random', 'entropy'].includes(prompts) || !['all', 'random'].includes(answers);
}

/** The two texts that a rule picks; without a rule the best and the worst as they are believed to be. */
function pairOf(
  { recipe, iteration }: IterationContext,
  promptId: string,
  { settings, beliefs }: { settings: SelectSettings; beliefs: readonly Belief[] },
): readonly [number, number] {
  const draw = drawsOf(randomKey(recipe.seed, 'select answers', iteration, promptId));
  const { answers } = settings;
  return RULES[answers === 'all' || answers === 'information' ? 'large-gap' : answers](beliefs, draw);
}

const NOTHING: Belief = { mean: 0, lower: 0, upper: 0 };

/** What is asked within the budget. A drawn question is about answers by chance, too. */
function chosenQuestions(
  context: IterationContext,
  questions: readonly Question[],
  settings: SelectSettings,
): { question: Question; isDrawn: boolean }[] {
  const { recipe, iteration, ledger, ranker } = context;
  const byPrompt = new Map(questions.map((question) => [question.item.promptId, question]));
  const earlier = Array.from({ length: iteration - 1 }, (_, n) => ledger.rankings(n + 1)).flat();
  const indifferent = indifferentPrompts(earlier, ranker.id);
  const askable = questions.map((question) => {
    const [a, b] = question.pair.map((index) => question.beliefs[index]);
    const key = question.item.promptId;
    return {
      key,
      labels: labelsOf(question, settings, recipe.ranker),
      // A prompt whose answers were as good, or both bad, before is asked about when nothing else is left.
      value: indifferent.has(key)
        ? LAST
        : promptValue(settings.prompts, { ...question, pair: [a ?? NOTHING, b ?? NOTHING] }),
      chance: uniformAt(randomKey(recipe.seed, 'select prompts', iteration, key), 0),
    };
  });
  return withinBudget(askable, settings).flatMap(({ key, isDrawn }) => {
    const question = byPrompt.get(key);
    if (question === undefined) return [];
    if (!isDrawn || settings.answers === 'all') return [{ question, isDrawn }];
    const draw = drawsOf(randomKey(recipe.seed, 'select drawn answers', iteration, key));
    return [{ question: { ...question, pair: RULES.random(question.beliefs, draw) }, isDrawn }];
  });
}

/** Most comparisons that a question takes, by everybody who answers it. */
function labelsOf({ texts }: Question, { answers }: SelectSettings, ranker: RankerSettings): number {
  const votes = ranker.kind === 'people' ? ranker.votes : 1;
  return votes * (answers === 'all' ? mostQuestions(texts.length) : 1);
}

/** A question as the ledger keeps it. */
function recordOf(
  { recipe }: IterationContext,
  question: Question,
  { settings, isDrawn, name }: { settings: SelectSettings; isDrawn: boolean; name: string },
): RecordOf<'selection'>['asked'][number] {
  const { item, texts, pair } = question;
  const indexOf = (place: number): number => item.candidates.findIndex(({ text }) => text === texts[place]);
  return {
    promptId: item.promptId,
    answers: settings.answers === 'all' ? null : [...pair].sort((a, b) => a - b).map(indexOf),
    labels: labelsOf(question, settings, recipe.ranker),
    isDrawn,
    reason: isDrawn ? DRAWN : reasonOf(question, settings, name),
  };
}

/** Who believes, in words. */
function believerName({ beliefs, otherwise }: SelectSettings): string {
  switch (beliefs) {
    case 'policy':
      return 'the policy';
    case 'reward-model':
      return 'the reward model';
    case 'otherwise':
      return otherwise === null ? 'the other ranker' : describeRanker(otherwise);
  }
}

/** Why a question is asked, for people: `the reward model is 51:49 here`. */
function reasonOf({ pair, beliefs, entropy, information }: Question, settings: SelectSettings, name: string): string {
  const [a, b] = pair.map((index) => beliefs[index]);
  if (settings.prompts === 'entropy') return `the policy is unsure what to say here: ${entropy.toFixed(1)} nats`;
  if (a === undefined || b === undefined || !needsBeliefs(settings)) return DRAWN;
  if ([settings.prompts, settings.answers].includes('information')) {
    return `comparing these tells ${information.toFixed(2)} nats that other labels do not`;
  }
  if (settings.prompts !== 'doubt') return `${name} is ${oddsText(sigmoid(Math.abs(a.mean - b.mean)))} here`;
  const [low, high] = winInterval(a, b);
  return `${name} may be anything from ${oddsText(low)} to ${oddsText(high)} here`;
}

/** Log-probabilities of what the policy said to each prompt. */
function logProbsByPrompt({ ledger, iteration, recipe }: IterationContext): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { promptId, sampleIndex, logProb } of ledger.responses(iteration)) {
    if (sampleIndex < recipe.sampling.samples) found.set(promptId, [...(found.get(promptId) ?? []), logProb]);
  }
  return found;
}

function drawsOf(key: RandomKey): () => number {
  let next = 0;
  return () => uniformAt(key, next++);
}
