/** @file What a run's answers say about who gave them: sides, times, ties, how able each is, and how far they agree. */
import { type Agreement, agreementOf, PREFERENCES, preferenceTable } from '../evaluate/agreement.ts';
import { raterAgreement } from '../evaluate/raters.ts';
import { bootstrapMean, type Interval, quantile } from '../evaluate/statistics.ts';
import { placesOf } from '../rank/pairing.ts';
import { type Answer, isRanked, type Questions } from '../rank/people/questions.ts';
import { fitVotes } from '../rank/people/votes.ts';
import type { Ledger } from '../store/ledger.ts';
import type { RankingRecord } from '../store/ledger-rows.ts';
import type { AgreementFigures, AgreementOfTwo, AnnotatorFigures, Annotators } from './api.ts';
import type { OpenedRun } from './open-runs.ts';

/** Figures of everybody who answered. Intervals resample answers or questions, by the run's seed. */
export function annotatorsOf({
  questions,
  config,
  views,
}: Pick<OpenedRun, 'questions' | 'config' | 'views'>): Annotators {
  const all = questions.read();
  const { seed } = config.recipe;
  const names = [...new Set(all.answers.map(({ annotator }) => annotator))].sort();
  // What asks about the annotators says nothing about the texts.
  const answers = all.answers.filter(({ question }) => {
    const asked = all.asked.get(question);
    return asked !== undefined && isRanked(asked);
  });
  const { abilities } = fitVotes(
    answers.flatMap(({ question, annotator, choice }) =>
      choice === 'first' || choice === 'second' ? [{ question, annotator, says: choice }] : [],
    ),
  );
  return {
    annotators: names.map((name) => ({
      ...figuresOf(
        answers.filter(({ annotator }) => annotator === name),
        seed,
      ),
      ...checksOf(all, name, seed),
      name,
      ability: abilities.get(name) ?? null,
    })),
    people: agreementOfPeople(answers, seed),
    between: agreementOfTwo(answers, names, seed),
    rankers: [null, ...(names.length > 1 ? names : [])].flatMap((annotator) => {
      const own = answers.filter((each) => annotator === null || each.annotator === annotator);
      const found = agreementWithRankers({ asked: all.asked, answers: own }, views.ledger, seed);
      return found.map((each) => ({ ...each, annotator }));
    }),
    flagged: all.answers.flatMap(({ question, annotator, isFlagged }) => {
      const asked = all.asked.get(question);
      return isFlagged && asked !== undefined ? [{ annotator, prompt: asked.prompt, texts: asked.texts }] : [];
    }),
  };
}

function figuresOf(
  answers: readonly Answer[],
  seed: number,
): Omit<AnnotatorFigures, 'name' | 'ability' | 'gold' | 'again'> {
  const decided = answers.filter(({ choice }) => choice === 'first' || choice === 'second');
  const count = (choice: Answer['choice']): number => answers.filter((each) => each.choice === choice).length;
  const isLeft = decided.map(({ choice, left }) => (choice === left ? 1 : 0));
  return {
    answers: answers.length,
    left: isLeft.length === 0 ? null : shown(bootstrapMean(isLeft, seed)),
    much: decided.filter(({ strength }) => strength === 'much').length,
    ties: count('tie'),
    bothBad: count('both-bad'),
    skipped: count('skip'),
    medianSeconds: quantile(
      answers.map(({ seconds }) => seconds),
      0.5,
    ),
  };
}

/** What somebody says of two texts, as a category of `PREFERENCES`; null: nothing. */
function categoryOf({ choice }: Answer): number | null {
  switch (choice) {
    case 'first':
      return 0;
    case 'tie':
    case 'both-bad':
      return 1;
    case 'second':
      return 2;
    case 'skip':
      return null;
  }
}

/** Least share of right answers to gold questions that nobody has to explain. */
const LEAST_RIGHT = 0.8;

/** How somebody answered what asks about annotators. */
function checksOf(
  { asked, answers, answersTo }: Questions,
  name: string,
  seed: number,
): Pick<AnnotatorFigures, 'gold' | 'again'> {
  const own = answers.filter(({ annotator, choice }) => annotator === name && choice !== 'skip');
  const right = own.flatMap(({ question, choice }) => {
    const gold = asked.get(question)?.gold ?? null;
    return gold === null ? [] : [choice === gold ? 1 : 0];
  });
  const same = own.flatMap((answer) => {
    const again = asked.get(answer.question)?.again ?? null;
    const before = again === null ? undefined : answersTo.get(again)?.find(({ annotator }) => annotator === name);
    return before === undefined || before.choice === 'skip' ? [] : [categoryOf(before) === categoryOf(answer) ? 1 : 0];
  });
  const interval = right.length === 0 ? null : bootstrapMean(right, seed);
  return {
    gold: interval && { answers: right.length, right: shown(interval), fails: interval.high < LEAST_RIGHT },
    again: same.length === 0 ? null : { questions: same.length, same: shown(bootstrapMean(same, seed)) },
  };
}

/** Every two annotators on the questions that both answered. */
function agreementOfTwo(answers: readonly Answer[], names: readonly string[], seed: number): Annotators['between'] {
  const saidBy = new Map(names.map((name) => [name, new Map<string, number>()]));
  for (const answer of answers) {
    const category = categoryOf(answer);
    if (category !== null) saidBy.get(answer.annotator)?.set(answer.question, category);
  }
  return names.flatMap((first, index) =>
    names.slice(index + 1).flatMap((second) => {
      const tables = [...(saidBy.get(first) ?? [])].flatMap(([question, ours]) => {
        const theirs = saidBy.get(second)?.get(question);
        return theirs === undefined ? [] : [preferenceTable([[0, 1]], [ours, 1], [theirs, 1])];
      });
      const found = agreementOf(tables, seed);
      return found === null ? [] : [{ names: [first, second] as [string, string], ...figures(found) }];
    }),
  );
}

function agreementOfPeople(answers: readonly Answer[], seed: number): Annotators['people'] {
  const byQuestion = grouped(answers);
  const items = [...byQuestion.values()].map((own) => own.flatMap((each) => categoryOf(each) ?? []));
  const found = raterAgreement(items, { categories: PREFERENCES.length, seed });
  return (
    found && {
      questions: found.items,
      percent: shown(found.percent),
      alpha: shown(found.alpha),
      ac1: shown(found.ac1),
    }
  );
}

/** Every answer beside what other rankers of the run make of the same two texts. */
function agreementWithRankers(
  { asked, answers }: Pick<Questions, 'asked' | 'answers'>,
  ledger: Ledger,
  seed: number,
): (AgreementOfTwo & { rankerId: string })[] {
  const byPrompt = new Map<string, RankingRecord[]>();
  for (const iteration of new Set(ledger.stages.all().map((stage) => stage.iteration)))
    for (const ranking of ledger.rankings(iteration))
      byPrompt.set(ranking.promptId, [...(byPrompt.get(ranking.promptId) ?? []), ranking]);
  const tables = new Map<string, Map<string, number[][]>>();
  for (const answer of answers) {
    const question = asked.get(answer.question);
    const category = categoryOf(answer);
    if (question === undefined || category === null) continue;
    for (const ranking of byPrompt.get(question.promptId) ?? []) {
      if (ranking.problem !== undefined || ranking.rankerId.startsWith('people ')) continue;
      const pair = question.texts.map((text) => ranking.candidates.findIndex((each) => each.text === text));
      const [first = -1, second = -1] = pair;
      if (first < 0 || second < 0) continue;
      // The answer as places of the two, beside those of the ranking.
      const places: number[] = [];
      places[first] = category;
      places[second] = 1;
      const own = tables.get(ranking.rankerId) ?? new Map<string, number[][]>();
      const table = preferenceTable([[first, second]], places, placesOf(ranking));
      const before = own.get(question.promptId);
      own.set(
        question.promptId,
        table.map((row, i) => row.map((value, j) => value + (before?.[i]?.[j] ?? 0))),
      );
      tables.set(ranking.rankerId, own);
    }
  }
  return [...tables].flatMap(([rankerId, own]) => {
    const found = agreementOf([...own.values()], seed);
    return found === null ? [] : [{ rankerId, ...figures(found) }];
  });
}

function figures({ comparisons, percent, kappa, ac1 }: Agreement): AgreementOfTwo {
  return { comparisons, percent: shown(percent), kappa: shown(kappa), ac1: shown(ac1) };
}

function grouped(answers: readonly Answer[]): Map<string, Answer[]> {
  const found = new Map<string, Answer[]>();
  for (const each of answers) found.set(each.question, [...(found.get(each.question) ?? []), each]);
  return found;
}

/** An interval as JSON has it: what is not defined is null. */
function shown({ value, low, high }: Interval): AgreementFigures {
  return Number.isFinite(value) ? { value, low, high } : null;
}
