/**
 * @file What the ranker is asked under a budget of labels: about which prompts, and about which of their answers. The budget may be spent
 * in rounds, each chosen by what the answers before it taught. What a round asks, and why, stands in the ledger before any of it is
 * ranked, so that a run that is started again asks the same.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { sigmoid } from '../../objective/sigmoid.ts';
import { drawsFrom, randomKey, uniformAt } from '../../random.ts';
import { DRAWN, oddsText } from '../../rank/doubt.ts';
import { describeRanker } from '../../rank/open.ts';
import { mostQuestions } from '../../rank/people/order.ts';
import type { RankItem } from '../../rank/ranker.ts';
import type { RankerSettings, SelectSettings } from '../../recipe/schema.ts';
import { needsBeliefs } from '../../recipe/select.ts';
import { withinBudget } from '../../select/budget.ts';
import { indifferentPrompts, LAST } from '../../select/indifferent.ts';
import { answerEntropy, promptValue, winInterval } from '../../select/prompts.ts';
import type { Belief } from '../../select/rule.ts';
import { RULES } from '../../select/rules.ts';
import type { RecordOf } from '../../store/records.ts';
import { textsOf } from './beliefs.ts';
import { type Knowledge, type Learner, openLearner, pairOf } from './knowledge.ts';
import { rankItems } from './rank.ts';
import type { IterationContext } from './stage.ts';

/** What a selection is made from. */
export interface SelectInput {
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
  /** How far the odds of whoever believes can be trusted. */
  slope: number;
}

/** The selection of one iteration. Both methods write what is asked to the ledger, and give a sentence about it; null: nothing. */
export interface Selection {
  /** Chooses what the first round asks, whatever was chosen before. */
  begin(): Promise<string | null>;
  /** Chooses what the next round asks by what is known by now: everything that was chosen before must have its verdict. */
  next(): Promise<string | null>;
}

/** The selection of an iteration as far as it has come. */
export function openSelection(
  context: IterationContext,
  { settings, ...input }: SelectInput & { settings: SelectSettings },
): Selection {
  const { ledger, iteration, recipe } = context;
  const items = rankItems(ledger, iteration, input.rows);
  // What no answer changes is made once, in the first round that needs it.
  let learner: Learner | null = null;
  const choose = async (before: Pick<RecordOf<'selection'>, 'asked' | 'rounds'>): Promise<string | null> => {
    const already = new Set(before.asked.map(({ promptId }) => promptId));
    for (let round = before.rounds + 1; round <= settings.rounds; round++) {
      learner ??= await openLearner(context, items, { settings, ...input });
      const questions = questionsOf(context, items, { settings, knowledge: learner(already) });
      const chosen = chosenQuestions(context, questions, { settings, already, round });
      const asked = [...before.asked, ...chosen.map((each) => recordOf(context, each, settings))];
      ledger.putRecord(iteration, 'selection', { asked, passed: items.length - asked.length, rounds: round });
      if (chosen.length === 0) continue; // a round too small for a question leaves its labels to the next
      const labels = chosen.reduce((sum, { question }) => sum + labelsOf(question, settings, recipe.ranker), 0);
      const drawn = chosen.filter(({ isDrawn }) => isDrawn).length;
      const which = settings.rounds === 1 ? '' : `round ${round} of ${settings.rounds}: `;
      return `${which}${chosen.length} of ${items.length} prompts, ${labels} labels at most, ${drawn} of them drawn at random`;
    }
    return null;
  };
  const nothing = { asked: [], rounds: 0 };
  return {
    begin: () => choose(nothing),
    next: async () => choose(ledger.record(iteration, 'selection') ?? nothing),
  };
}

/** The possible questions about prompts with two or more different answers. Of the others the pair stage says that there is nothing to compare. */
function questionsOf(
  context: IterationContext,
  items: readonly RankItem[],
  { settings, knowledge }: { settings: SelectSettings; knowledge: Knowledge },
): Question[] {
  const surprise = logProbsByPrompt(context);
  return items.flatMap((item): Question[] => {
    const [beliefs, texts] = [knowledge.beliefs.get(item.promptId) ?? [], textsOf(item)];
    if (texts.length < 2) return [];
    const entropy = answerEntropy(surprise.get(item.promptId) ?? []);
    const { pair = pairOf(context, item.promptId, { settings, beliefs }), nats: information = 0 } =
      knowledge.telling.get(item.promptId) ?? {};
    return [{ item, texts, beliefs, entropy, information, slope: knowledge.slope, pair }];
  });
}

/** A question that is asked; `isDrawn`: nothing but chance chose it. */
interface Chosen {
  question: Question;
  isDrawn: boolean;
}

const NOTHING: Belief = { mean: 0, lower: 0, upper: 0 };

/** What a round asks within the budget. A drawn question is about answers by chance, too. */
function chosenQuestions(
  context: IterationContext,
  questions: readonly Question[],
  { settings, already, round }: { settings: SelectSettings; already: ReadonlySet<string>; round: number },
): Chosen[] {
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
  const { budget, randomShare, rounds } = settings;
  const now = withinBudget(askable, { budget, randomShare, already, round: { number: round, of: rounds } });
  return now.flatMap(({ key, isDrawn }) => {
    const question = byPrompt.get(key);
    if (question === undefined) return [];
    if (!isDrawn || settings.answers === 'all') return [{ question, isDrawn }];
    const draw = drawsFrom(randomKey(recipe.seed, 'select drawn answers', iteration, key));
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
  { question, isDrawn }: Chosen,
  settings: SelectSettings,
): RecordOf<'selection'>['asked'][number] {
  const { item, texts, pair } = question;
  const indexOf = (place: number): number => item.candidates.findIndex(({ text }) => text === texts[place]);
  return {
    promptId: item.promptId,
    answers: settings.answers === 'all' ? null : [...pair].sort((a, b) => a - b).map(indexOf),
    labels: labelsOf(question, settings, recipe.ranker),
    isDrawn,
    reason: isDrawn ? DRAWN : reasonOf(question, settings, believerName(settings)),
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
