/**
 * @file People as a ranker: two texts at a time, in `selm studio`, until the order of every prompt's texts is known. The run
 * waits meanwhile; it may be stopped and started again, and what was answered counts.
 */
import { setTimeout } from 'node:timers/promises';
import { collectRows, readRows } from '../../data/read.ts';
import { DataError, InterruptedError, RankerError } from '../../errors.ts';
import type { RankerSettings } from '../../recipe/schema.ts';
import { shownPrompt, shownTurns } from '../../text/shown.ts';
import type { Judgement, Ranker, RankItem, Ranking } from '../ranker.ts';
import type { RankerServices } from '../services.ts';
import { type Gold, withChecks } from './checks.ts';
import { type Comparison, orderBy } from './order.ts';
import {
  type Answer,
  ask,
  type Choice,
  isRanked,
  peopleFolder,
  type Question,
  QuestionLog,
  type Questions,
  questionOf,
  settle,
} from './questions.ts';
import { fitVotes, type VoteModel } from './votes.ts';

type PeopleSettings = Extract<RankerSettings, { kind: 'people' }>;

/** Milliseconds between two looks at the answers. */
const LOOK_MS = 300;

/** Opens people as a ranker. Throws DataError for gold questions that cannot be read, and RankerError PEOPLE_NO_RUN where there is no run whose folder keeps their answers. */
export async function openPeople(
  settings: PeopleSettings,
  { runPath, signal, waits = true, warn = () => {} }: RankerServices,
): Promise<Ranker> {
  if (runPath === undefined) {
    throw new RankerError(
      'PEOPLE_NO_RUN',
      'Cannot ask people here: they rank in a run (`selm train` with ranker: {kind: people}), and answer in `selm studio`',
    );
  }
  const gold = settings.gold === null ? [] : await readGold(settings.gold.file);
  const checked = (questions: readonly Question[], { asked }: Questions): Question[] =>
    withChecks(questions, {
      gold,
      goldShare: settings.gold?.share ?? 0,
      repeatShare: settings.repeatShare,
      known: new Set(asked.keys()),
    });
  return {
    id: 'people version=1',
    gives: 'order',
    async *rank(items) {
      const all: RankItem[] = [];
      for await (const item of items) all.push(item);
      const path = runPath();
      const log = new QuestionLog(peopleFolder(path));
      let rankings: Map<string, Ranking> | null = null;
      for (let isTold = false; rankings === null; ) {
        signal?.throwIfAborted();
        const questions = log.read();
        const next = all.map((item) => nextOf(item, questions, settings));
        ask(log.folder, checked(unasked(next, questions), questions));
        const open = next.filter(({ kind }) => kind === 'asks').length;
        if (open === 0) rankings = await settleAll(log, all, settings);
        if (rankings !== null) break;
        if (!waits) throw waitingFor(open, path);
        if (!isTold)
          warn(`Waiting for people: ${open} prompts have a question: answer them in \`selm studio ${path}\``);
        isTold = true;
        await setTimeout(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      }
      for (const { promptId } of all)
        yield rankings.get(promptId) ?? withoutVerdict(promptId, 'people gave no verdict');
    },
    textHealth: async () => null,
    close: async () => {},
  };
}

/** Rows with a better and a worse text, as people read them. */
async function readGold(file: string): Promise<Gold[]> {
  const rows = await collectRows(readRows([file], {}), { limit: null, onBadRow: 'stop' });
  const gold = rows.flatMap(({ promptId, prompt, chosen, rejected }) =>
    chosen === null || rejected === null || chosen === rejected
      ? []
      : [{ promptId, prompt: shownPrompt(prompt), turns: shownTurns(prompt), chosen, rejected }],
  );
  if (gold.length > 0) return gold;
  throw new DataError(
    'GOLD_EMPTY',
    `Cannot ask gold questions of "${file}": no row has two different texts: give rows with prompt, chosen and rejected`,
  );
}

/** Ends a run that shall not wait; its questions are asked, and who answers them needs no run. */
function waitingFor(prompts: number, path: string): InterruptedError {
  return new InterruptedError(
    'WAITING_FOR_PEOPLE',
    `The run waits for people: ${prompts} prompts have a question: answer them in \`selm studio ${path}\`, then go on`,
    { details: { prompts } },
  );
}

/** Settles everything that the items rest on, where nothing is missing any more, and ranks them. */
async function settleAll(
  log: QuestionLog,
  items: readonly RankItem[],
  settings: PeopleSettings,
): Promise<Map<string, Ranking> | null> {
  return settle(log, (questions) => {
    const next = items.map((item) => nextOf(item, questions, settings));
    const known = next.flatMap((each) => (each.kind === 'known' ? [each] : []));
    if (known.length < next.length) return null; // an answer was taken back in the meantime
    const ids = known.flatMap((each) => each.ids);
    const model = fitVotes(votesOf(questions, new Set(ids)));
    const checks = [...questions.asked.values()].filter((each) => !isRanked(each)).map(({ id }) => id);
    const rankings = known.map((each) => ({ ...each.ranking, ...judgementsOf(each, model) }));
    return { result: new Map(rankings.map((ranking) => [ranking.promptId, ranking])), ids: [...ids, ...checks] };
  });
}

/** The votes that count: of questions that are settled, or are being so. */
function votesOf({ asked, answers, settled }: Questions, ids: ReadonlySet<string>): Parameters<typeof fitVotes>[0] {
  const isCounted = (id: string): boolean => {
    const question = asked.get(id);
    return question !== undefined && isRanked(question) && (settled.has(id) || ids.has(id));
  };
  return answers.flatMap(({ question, annotator, choice }) =>
    isCounted(question) && (choice === 'first' || choice === 'second') ? [{ question, annotator, says: choice }] : [],
  );
}

interface Known {
  kind: 'known';
  ranking: Ranking;
  ids: string[];
  /** What was asked, as indices of the candidates. */
  compared: { id: string; shown: [number, number]; weight: number; areBothBad: boolean; edit: string | null }[];
}
type Next = Known | { kind: 'asks'; question: Question };

/** The ranking of an item by answers, or the question that is missing for it. */
function nextOf(item: RankItem, { answersTo }: Questions, { votes, muchBetter }: PeopleSettings): Next {
  const { promptId, prompt, candidates, why } = item;
  const texts = textsOf(item);
  const asked = { promptId, prompt: shownPrompt(prompt), turns: shownTurns(prompt), reason: why ?? '' };
  const question = (a: number, b: number): Question => questionOf(asked, [texts[a] ?? '', texts[b] ?? '']);
  const ids: string[] = [];
  const compared: Known['compared'] = [];
  const indexOf = (text: string): number => candidates.findIndex((each) => each.text === text);
  const ordering = orderBy(texts.length, (a, b) => {
    const { id, texts: pair } = question(a, b);
    const answers = answersTo.get(id) ?? [];
    if (answers.length < votes) return null;
    ids.push(id);
    const shown: [number, number] = [indexOf(pair[0]), indexOf(pair[1])];
    const areBothBad = areCalledBad(answers);
    compared.push({ id, shown, weight: weightOf(answers, muchBetter), areBothBad, edit: editOf(answers) });
    return comparisonOf(answers, pair[0] === texts[a]);
  });
  switch (ordering.kind) {
    case 'asks':
      return { kind: 'asks', question: question(ordering.first, ordering.second) };
    case 'skipped':
      return { kind: 'known', ids, compared: [], ranking: withoutVerdict(promptId, 'skipped by people') };
    case 'ordered': {
      // Candidates of one text share its place, in their own order.
      const places = ordering.places.map((place) =>
        candidates.flatMap(({ text }, index) => (place.includes(texts.indexOf(text)) ? [index] : [])),
      );
      const ties = places.filter((place) => place.length > 1);
      return { kind: 'known', ids, compared, ranking: { promptId, scores: null, order: places.flat(), ties } };
    }
  }
}

/** What most of the answers to a question say; who skips says nothing, and as many for one as for the other are a tie. */
function comparisonOf(answers: readonly Answer[], isInOrder: boolean): Comparison {
  const count = (...choices: Choice[]): number => answers.filter(({ choice }) => choices.includes(choice)).length;
  const [first, second, tie] = [count('first'), count('second'), count('tie', 'both-bad')];
  if (first + second + tie === 0) return 'skip';
  if (first === second || tie > Math.max(first, second)) return 'tie';
  return first > second === isInOrder ? 'first' : 'second';
}

/** Whether more than half of those who said anything call both texts bad. */
function areCalledBad(answers: readonly Answer[]): boolean {
  const said = answers.filter(({ choice }) => choice !== 'skip');
  return said.filter(({ choice }) => choice === 'both-bad').length > said.length / 2;
}

/** Mean weight of the votes for one or the other; 1 where there is none. */
function weightOf(answers: readonly Answer[], muchBetter: number): number {
  const weights = answers.flatMap(({ choice, strength }) =>
    choice === 'first' || choice === 'second' ? [strength === 'much' ? muchBetter : 1] : [],
  );
  return weights.length === 0 ? 1 : weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
}

/** The latest edit of the text that most prefer; an edit of the other one is nobody's best. */
function editOf(answers: readonly Answer[]): string | null {
  const said = comparisonOf(answers, true);
  return answers.findLast(({ edit, choice }) => edit !== null && choice === said)?.edit ?? null;
}

/** How likely each comparison is to be as it was said, by who said it; a question without a vote is a tie. */
function judgementsOf({ compared }: Known, { probabilities }: VoteModel): { judgements?: Judgement[] } {
  if (compared.length === 0) return {};
  return {
    judgements: compared.map(({ id, shown, weight, areBothBad, edit }) => ({
      shown,
      value: probabilities.get(id) ?? 0.5,
      answerKey: id,
      ...(weight === 1 ? {} : { weight }),
      ...(areBothBad ? { areBothBad } : {}),
      ...(edit === null ? {} : { edit }),
    })),
  };
}

/** The different texts of an item. */
function textsOf({ candidates }: RankItem): string[] {
  return [...new Set(candidates.map(({ text }) => text))];
}

function withoutVerdict(promptId: string, problem: string): Ranking {
  return { promptId, scores: null, order: [], ties: [], problem };
}

function unasked(next: readonly Next[], { asked }: Questions): Question[] {
  return next.flatMap((each) => (each.kind === 'asks' && !asked.has(each.question.id) ? [each.question] : []));
}
