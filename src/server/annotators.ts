/** @file What a run's answers say about who gave them: sides, times, ties, how able each is, and how far they agree. */
import { agreementOf, PREFERENCES, preferenceTable } from '../evaluate/agreement.ts';
import { raterAgreement } from '../evaluate/raters.ts';
import { bootstrapMean, type Interval, quantile } from '../evaluate/statistics.ts';
import { placesOf } from '../rank/pairing.ts';
import { type Answer, peopleFolder, type Questions, readQuestions } from '../rank/people/questions.ts';
import { fitVotes } from '../rank/people/votes.ts';
import type { Ledger } from '../store/ledger.ts';
import type { RankingRecord } from '../store/ledger-rows.ts';
import type { AgreementFigures, AnnotatorFigures, Annotators } from './api.ts';
import type { OpenedRun } from './open-runs.ts';

/** Figures of everybody who answered. Intervals resample answers or questions, by the run's seed. */
export function annotatorsOf({ listed, config, views }: Pick<OpenedRun, 'listed' | 'config' | 'views'>): Annotators {
  const questions = readQuestions(peopleFolder(listed.path));
  const { seed } = config.recipe;
  const names = [...new Set(questions.answers.map(({ annotator }) => annotator))].sort();
  const { abilities } = fitVotes(
    questions.answers.flatMap(({ question, annotator, choice }) =>
      choice === 'first' || choice === 'second' ? [{ question, annotator, says: choice }] : [],
    ),
  );
  return {
    annotators: names.map((name) => ({
      ...figuresOf(
        questions.answers.filter(({ annotator }) => annotator === name),
        seed,
      ),
      name,
      ability: abilities.get(name) ?? null,
    })),
    people: agreementOfPeople(questions, seed),
    rankers: agreementWithRankers(questions, views.ledger, seed),
    flagged: questions.answers.flatMap(({ question, annotator, isFlagged }) => {
      const asked = questions.asked.get(question);
      return isFlagged && asked !== undefined ? [{ annotator, prompt: asked.prompt, texts: asked.texts }] : [];
    }),
  };
}

function figuresOf(answers: readonly Answer[], seed: number): Omit<AnnotatorFigures, 'name' | 'ability'> {
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

function agreementOfPeople({ answersTo }: Questions, seed: number): Annotators['people'] {
  const items = [...answersTo.values()].map((answers) => answers.flatMap((each) => categoryOf(each) ?? []));
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
function agreementWithRankers({ asked, answers }: Questions, ledger: Ledger, seed: number): Annotators['rankers'] {
  const byPrompt = new Map<string, RankingRecord[]>();
  for (const iteration of new Set(ledger.stages().map((stage) => stage.iteration)))
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
    if (found === null) return [];
    const { comparisons, percent, kappa, ac1 } = found;
    return [{ rankerId, comparisons, percent: shown(percent), kappa: shown(kappa), ac1: shown(ac1) }];
  });
}

/** An interval as JSON has it: what is not defined is null. */
function shown({ value, low, high }: Interval): AgreementFigures {
  return Number.isFinite(value) ? { value, low, high } : null;
}
