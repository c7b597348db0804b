/**
 * @file People as a ranker: two texts at a time, in `selm studio`, until the order of every prompt's texts is known. The run
 * waits meanwhile; it may be stopped and started again, and what was answered counts.
 */
import { setTimeout } from 'node:timers/promises';
import { RankerError } from '../../errors.ts';
import { shownPrompt } from '../../text/shown.ts';
import type { Ranker, RankItem, Ranking } from '../ranker.ts';
import type { RankerServices } from '../services.ts';
import { type Comparison, orderBy } from './order.ts';
import {
  ask,
  type Choice,
  peopleFolder,
  type Question,
  type Questions,
  questionOf,
  readQuestions,
  settle,
} from './questions.ts';

/** Milliseconds between two looks at the answers. */
const LOOK_MS = 300;

/** Opens people as a ranker. Throws RankerError PEOPLE_NO_RUN where there is no run whose folder keeps their answers. */
export function openPeople({ runPath, signal, warn = () => {} }: RankerServices): Ranker {
  if (runPath === undefined) {
    throw new RankerError(
      'PEOPLE_NO_RUN',
      'Cannot ask people here: they rank in a run (`selm train` with ranker: {kind: people}), and answer in `selm studio`',
    );
  }
  return {
    id: 'people version=1',
    gives: 'order',
    async *rank(items) {
      const waiting: RankItem[] = [];
      for await (const item of items) waiting.push(item);
      const path = runPath();
      const folder = peopleFolder(path);
      let isTold = false;
      while (waiting.length > 0) {
        signal?.throwIfAborted();
        const questions = readQuestions(folder);
        const next = waiting.map((item) => nextOf(item, questions.answers));
        ask(folder, unasked(next, questions));
        // Results come in the order of the items; whoever answers goes in that order too.
        for (const known of next) {
          const [item] = waiting;
          if (known.kind !== 'known' || item === undefined) break;
          const ranking = await settle(folder, (answers) => {
            const now = nextOf(item, answers);
            return now.kind === 'known' ? { result: now.ranking, ids: now.ids } : null;
          });
          if (ranking === null) break;
          waiting.shift();
          yield ranking;
        }
        const open = next.filter(({ kind }) => kind === 'asks').length;
        if (!isTold && open > 0)
          warn(`Waiting for people: ${open} prompts have a question: answer them in \`selm studio ${path}\``);
        isTold ||= open > 0;
        if (waiting.length > 0)
          await setTimeout(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      }
    },
    textHealth: async () => null,
    close: async () => {},
  };
}

type Next = { kind: 'known'; ranking: Ranking; ids: string[] } | { kind: 'asks'; question: Question };

/** The ranking of an item by answers, or the question that is missing for it. */
function nextOf({ promptId, prompt, candidates }: RankItem, answers: Questions['answers']): Next {
  const texts = [...new Set(candidates.map(({ text }) => text))];
  const shown = shownPrompt(prompt);
  const question = (a: number, b: number): Question => questionOf(promptId, shown, texts[a] ?? '', texts[b] ?? '');
  const ids: string[] = [];
  const ordering = orderBy(texts.length, (a, b) => {
    const { id, texts: pair } = question(a, b);
    const answer = answers.get(id);
    if (answer === undefined) return null;
    ids.push(id);
    return comparisonOf(answer.choice, pair[0] === texts[a]);
  });
  switch (ordering.kind) {
    case 'asks':
      return { kind: 'asks', question: question(ordering.first, ordering.second) };
    case 'skipped':
      return {
        kind: 'known',
        ids,
        ranking: { promptId, scores: null, order: [], ties: [], problem: 'skipped by people' },
      };
    case 'ordered': {
      // Candidates of one text share its place, in their own order.
      const places = ordering.places.map((place) =>
        candidates.flatMap(({ text }, index) => (place.includes(texts.indexOf(text)) ? [index] : [])),
      );
      const ties = places.filter((place) => place.length > 1);
      return { kind: 'known', ids, ranking: { promptId, scores: null, order: places.flat(), ties } };
    }
  }
}

/** A choice between the texts of a question, as one between the two that are compared. */
function comparisonOf(choice: Choice, isInOrder: boolean): Comparison {
  switch (choice) {
    case 'first':
      return isInOrder ? 'first' : 'second';
    case 'second':
      return isInOrder ? 'second' : 'first';
    case 'tie':
    case 'both-bad':
      return 'tie';
    case 'skip':
      return 'skip';
  }
}

function unasked(next: readonly Next[], { asked }: Questions): Question[] {
  return next.flatMap((each) => (each.kind === 'asks' && !asked.has(each.question.id) ? [each.question] : []));
}
