import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { memoryAnswers } from '../services.ts';
import { openPeople } from './people.ts';
import {
  ask,
  type Choice,
  peopleFolder,
  QuestionLog,
  questionOf,
  readQuestions,
  type Said,
  say,
  settle,
} from './questions.ts';

function item(promptId: string, texts: string[]): RankItem {
  return {
    promptId,
    prompt: { kind: 'text', text: `prompt ${promptId}` },
    candidates: texts.map((text, sampleIndex) => ({ kind: 'response', sampleIndex, text })),
  };
}

async function* stream(items: readonly RankItem[]): AsyncGenerator<RankItem> {
  yield* items;
}

const PEOPLE = { kind: 'people', votes: 1, muchBetter: 2, gold: null, repeatShare: 0 } as const;

interface Options {
  votes?: number;
  gold?: { file: string; share: number } | null;
  repeatShare?: number;
  signal?: AbortSignal;
}

async function ranked(
  runPath: string,
  items: readonly RankItem[],
  { votes = 1, gold = null, repeatShare = 0, signal }: Options = {},
): Promise<Ranking[]> {
  const settings = { ...PEOPLE, votes, gold, repeatShare };
  const ranker = await openPeople(settings, { answers: () => memoryAnswers(), runPath: () => runPath, signal });
  const rankings: Ranking[] = [];
  for await (const ranking of ranker.rank(stream(items))) rankings.push(ranking);
  return rankings;
}

let count = 0;
function answer(question: string, choice: Choice, annotator = 'owner'): Said {
  count += 1;
  return {
    kind: 'answer',
    question,
    annotator,
    choice,
    strength: 'some',
    tags: [],
    isFlagged: false,
    edit: null,
    left: 'first',
    seconds: 1,
    key: `key-${count}`,
    timeMs: count,
  };
}

/** Annotators who answer every open question by the length of the texts, until `until` is done. */
async function answering(runPath: string, until: Promise<unknown>, annotators = ['owner']): Promise<void> {
  const folder = peopleFolder(runPath);
  let isDone = false;
  void until.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const { asked, answersTo } = readQuestions(folder);
    for (const { id, texts } of asked.values()) {
      const [a, b] = [texts[0].length, texts[1].length];
      for (const annotator of annotators) {
        if (answersTo.get(id)?.some((each) => each.annotator === annotator)) continue;
        await say(new QuestionLog(folder), answer(id, a > b ? 'first' : a < b ? 'second' : 'tie', annotator));
      }
    }
    await setTimeout(20);
  }
}

test('a run waits until people have put the texts of every prompt in order', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['aa', 'a', 'aaa']), item('q', ['b', 'c', 'bb', 'b'])]);
  await answering(runPath, rankings);
  expect(await rankings).toMatchObject([
    { promptId: 'p', scores: null, order: [2, 0, 1], ties: [] },
    { promptId: 'q', scores: null, order: [2, 0, 1, 3], ties: [[0, 1, 3]] },
  ]);
});

test('every comparison is kept with its probability, which grows with the votes for it', async () => {
  const probabilityOf = async (votes: number): Promise<number> => {
    const runPath = temporaryFolder();
    const rankings = ranked(runPath, [item('p', ['a', 'aa'])], { votes });
    await answering(runPath, rankings, ['ada', 'ben', 'cleo'].slice(0, votes));
    const [ranking] = await rankings;
    expect(ranking).toMatchObject({ order: [1, 0], judgements: [{ shown: [0, 1] }] });
    return 1 - (ranking?.judgements?.[0]?.value ?? 1);
  };
  const [one, three] = [await probabilityOf(1), await probabilityOf(3)];
  expect(one).toBeCloseTo(0.938, 3);
  expect(three).toBeGreaterThan(0.99);
});

test('what people call much better has the weight that the recipe gives it, in the mean of the votes', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['a', 'b'])], { votes: 2 });
  const folder = peopleFolder(runPath);
  const id = await vi.waitFor(() => [...readQuestions(folder).asked.keys()][0] ?? expect.fail('no question yet'));
  await say(new QuestionLog(folder), { ...answer(id, 'first', 'ada'), strength: 'much' } as Said);
  await say(new QuestionLog(folder), answer(id, 'first', 'ben'));
  expect((await rankings)[0]?.judgements).toMatchObject([{ weight: 1.5 }]);
});

test('an edit of the text that is preferred stays with the comparison, one of the other does not', async () => {
  const editsOf = async (choice: Choice): Promise<(string | undefined)[]> => {
    const runPath = temporaryFolder();
    const rankings = ranked(runPath, [item('p', ['a', 'b'])], { votes: 3 });
    const folder = peopleFolder(runPath);
    const id = await vi.waitFor(() => [...readQuestions(folder).asked.keys()][0] ?? expect.fail('no question yet'));
    await say(new QuestionLog(folder), answer(id, 'first', 'ada'));
    await say(new QuestionLog(folder), answer(id, 'first', 'ben'));
    await say(new QuestionLog(folder), { ...answer(id, choice, 'cleo'), edit: 'my own words' } as Said);
    return ((await rankings)[0]?.judgements ?? []).map(({ edit }) => edit);
  };
  expect(await editsOf('first')).toEqual(['my own words']);
  expect(await editsOf('second')).toEqual([undefined]);
});

test('as many votes for one text as for the other are a tie, and a question waits until all votes are there', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['a', 'b'])], { votes: 2 });
  const folder = peopleFolder(runPath);
  const id = await vi.waitFor(() => [...readQuestions(folder).asked.keys()][0] ?? expect.fail('no question yet'));
  await say(new QuestionLog(folder), answer(id, 'first', 'ada'));
  await setTimeout(400);
  expect(readQuestions(folder).settled.size).toBe(0);
  await say(new QuestionLog(folder), answer(id, 'second', 'ben'));
  expect(await rankings).toMatchObject([{ ties: [[0, 1]] }]);
});

test('questions are asked in the order of the items, and say why they are', async () => {
  const runPath = temporaryFolder();
  const items = ['unsure', 'drawn'].map((id) => ({ ...item(id, ['a', 'aa']), why: `because ${id}` }));
  const rankings = ranked(runPath, items);
  await answering(runPath, rankings);
  const { asked } = readQuestions(peopleFolder(runPath));
  expect([...asked.values()].map(({ reason }) => reason)).toEqual(['because unsure', 'because drawn']);
});

test('a conversation is asked about turn by turn, a single message as the text that it is', async () => {
  const runPath = temporaryFolder();
  const [one, several] = [
    [{ role: 'user', content: 'Hello' }],
    [
      { role: 'user', content: 'What is 2 + 2?' },
      { role: 'assistant', content: '**4**' },
      { role: 'user', content: 'And 3 + 3?' },
    ],
  ];
  const items = [one, several].map((messages = [], n) => ({
    ...item(`p${n}`, ['a', 'aa']),
    prompt: { kind: 'chat' as const, messages },
  }));
  const rankings = ranked(runPath, items);
  await answering(runPath, rankings);
  const [first, second] = [...readQuestions(peopleFolder(runPath)).asked.values()];
  expect([first?.prompt, first?.turns]).toEqual(['Hello', []]);
  expect(second?.turns).toEqual([
    { role: 'user', text: 'What is 2 + 2?' },
    { role: 'assistant', text: '**4**' },
    { role: 'user', text: 'And 3 + 3?' },
  ]);
});

test('a comparison that most call both bad says so, beside the tie that it is', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['a', 'aa'])], { votes: 3 });
  const folder = peopleFolder(runPath);
  const id = await vi.waitFor(() => [...readQuestions(folder).asked.keys()][0] ?? expect.fail('no question yet'));
  for (const [name, choice] of [
    ['ada', 'both-bad'],
    ['ben', 'both-bad'],
    ['cleo', 'first'],
  ] as const)
    await say(new QuestionLog(folder), answer(id, choice, name));
  expect(await rankings).toMatchObject([{ ties: [[0, 1]], judgements: [{ areBothBad: true }] }]);
});

test('a run that is started again asks nothing twice', async () => {
  const runPath = temporaryFolder();
  const first = ranked(runPath, [item('p', ['aa', 'a', 'aaa'])]);
  await answering(runPath, first);
  const asked = readQuestions(peopleFolder(runPath)).asked.size;
  expect(await ranked(runPath, [item('p', ['aa', 'a', 'aaa'])])).toEqual(await first);
  expect(readQuestions(peopleFolder(runPath)).asked.size).toBe(asked);
});

test('a second round of questions is asked when the first is settled', async () => {
  const runPath = temporaryFolder();
  const log = new QuestionLog(peopleFolder(runPath));
  for (const [round, promptId] of ['p', 'q'].entries()) {
    const rankings = ranked(runPath, [item(promptId, ['a', 'b'])]);
    await vi.waitFor(() => expect(log.read().asked.size).toBe(round + 1));
    const open = [...log.read().asked.values()].filter(({ id }) => !log.read().settled.has(id));
    expect(open.map((each) => each.promptId)).toEqual([promptId]);
    await say(log, answer(open[0]?.id ?? '', 'first'));
    expect(await rankings).toMatchObject([{ promptId, order: [0, 1] }]);
  }
  expect(log.read().settled.size).toBe(2);
});

test('a run that shall not wait asks, ends, and goes on when it is started again after the answers', async () => {
  const runPath = temporaryFolder();
  const services = { answers: () => memoryAnswers(), runPath: () => runPath, waits: false };
  const once = async (): Promise<Ranking[]> => {
    const rankings: Ranking[] = [];
    const ranker = await openPeople(PEOPLE, services);
    for await (const each of ranker.rank(stream([item('p', ['a', 'aa'])]))) rankings.push(each);
    return rankings;
  };
  await expect(once()).rejects.toMatchObject({ name: 'InterruptedError', code: 'WAITING_FOR_PEOPLE' });
  const [id = ''] = readQuestions(peopleFolder(runPath)).asked.keys();
  await say(new QuestionLog(peopleFolder(runPath)), answer(id, 'second'));
  expect(await once()).toMatchObject([{ promptId: 'p', order: [1, 0] }]);
});

test('a run that waits hears the signal to stop', async () => {
  const stop = new AbortController();
  const rankings = ranked(temporaryFolder(), [item('p', ['a', 'b'])], { signal: stop.signal });
  stop.abort(new Error('stopped'));
  await expect(rankings).rejects.toThrow('stopped');
});

test('a skipped prompt has no verdict, and a prompt with one text needs none', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['a', 'b']), item('q', ['c', 'c'])]);
  for (;;) {
    const [question] = readQuestions(peopleFolder(runPath)).asked.values();
    if (question !== undefined) await say(new QuestionLog(peopleFolder(runPath)), answer(question.id, 'skip'));
    if (question !== undefined) break;
    await setTimeout(20);
  }
  expect(await rankings).toEqual([
    { promptId: 'p', scores: null, order: [], ties: [], problem: 'skipped by people' },
    { promptId: 'q', scores: null, order: [0, 1], ties: [[0, 1]] },
  ]);
});

/** A run with one open question, and its id. */
async function asked(): Promise<{ folder: string; id: string }> {
  const runPath = temporaryFolder();
  const stop = new AbortController();
  const rankings = ranked(runPath, [item('p', ['a', 'b'])], { signal: stop.signal }).catch(() => {});
  await setTimeout(50);
  stop.abort();
  await rankings;
  const folder = peopleFolder(runPath);
  return { folder, id: [...readQuestions(folder).asked.keys()][0] ?? '' };
}

test('an answer that is sent twice counts once, and the last of several stands', async () => {
  const { folder, id } = await asked();
  const first = answer(id, 'first');
  await say(new QuestionLog(folder), first);
  await say(new QuestionLog(folder), answer(id, 'second'));
  await say(new QuestionLog(folder), first);
  expect(readQuestions(folder).answersTo.get(id)?.[0]?.choice).toBe('second');
});

test('a log that stays open knows what came since, as one that is opened anew does', async () => {
  const { folder, id } = await asked();
  const [staying, other] = [new QuestionLog(folder), new QuestionLog(folder)];
  expect(staying.read().answers).toEqual([]);
  await say(other, answer(id, 'first', 'ada'));
  await say(other, answer(id, 'tie', 'ben'));
  await say(staying, answer(id, 'second', 'ada'));
  await say(other, { kind: 'undo', question: id, annotator: 'ben', key: 'undo-ben', timeMs: 1 });
  expect(staying.read()).toEqual(readQuestions(folder));
  expect(
    staying
      .read()
      .answersTo.get(id)
      ?.map(({ annotator, choice }) => [annotator, choice]),
  ).toEqual([['ada', 'second']]);
  rmSync(folder, { recursive: true });
  expect(staying.read().asked.size).toBe(0);
});

test('an answer may be taken back until the run has used it, and then no more', async () => {
  const { folder, id } = await asked();
  await say(new QuestionLog(folder), answer(id, 'first'));
  await say(new QuestionLog(folder), { kind: 'undo', question: id, annotator: 'owner', key: 'undo-1', timeMs: 1 });
  expect(readQuestions(folder).answers).toEqual([]);
  await say(new QuestionLog(folder), answer(id, 'tie'));
  await settle(new QuestionLog(folder), ({ answers }) => ({ result: answers, ids: [id] }));
  await expect(
    say(new QuestionLog(folder), { kind: 'undo', question: id, annotator: 'owner', key: 'undo-2', timeMs: 2 }),
  ).rejects.toMatchObject({
    code: 'PEOPLE_QUESTION_SETTLED',
  });
  await expect(say(new QuestionLog(folder), answer('nothing', 'first'))).rejects.toMatchObject({
    code: 'PEOPLE_QUESTION_UNKNOWN',
  });
});

test('half an answer that a dying process left is none, and the next one is whole', async () => {
  const { folder, id } = await asked();
  await say(new QuestionLog(folder), answer(id, 'first'));
  const path = join(folder, 'answers.jsonl');
  const whole = readFileSync(path, 'utf8');
  for (let length = 1; length < whole.length; length += 7) {
    appendFileSync(path, whole.slice(0, length));
    await say(new QuestionLog(folder), answer(id, length % 2 === 0 ? 'tie' : 'second'));
    expect(readQuestions(folder).answersTo.get(id)?.[0]?.choice).toBe(length % 2 === 0 ? 'tie' : 'second');
  }
});

test('without a run there are no people to ask', async () => {
  await expect(openPeople(PEOPLE, { answers: () => memoryAnswers() })).rejects.toThrow(/ranker: \{kind: people\}/);
});

test('gold and repeated questions stand between the others, no verdict is made of them, and all are closed at the end', async () => {
  const runPath = temporaryFolder();
  const file = join(runPath, 'gold.jsonl');
  const rows = Array.from({ length: 3 }, (_, n) => ({
    prompt: `g${n}`,
    chosen: `good ${n}`,
    rejected: `bad, long ${n}`,
  }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const items = Array.from({ length: 12 }, (_, n) => item(`p${n}`, ['a', 'aa']));
  const rankings = ranked(runPath, items, { gold: { file, share: 1 }, repeatShare: 1 });
  await answering(runPath, rankings);
  expect((await rankings).map(({ order }) => order)).toEqual(items.map(() => [1, 0]));
  const { asked, settled } = readQuestions(peopleFolder(runPath));
  const all = [...asked.values()];
  expect(all.filter(({ gold }) => gold !== null).map(({ texts, gold }) => texts[gold === 'first' ? 0 : 1])).toEqual([
    'good 0',
    'good 1',
    'good 2',
  ]);
  const again = all.flatMap((each, place) => (each.again === null ? [] : [{ ...each, place }]));
  // Five others stand between, so the last five of twelve are not repeated.
  expect(again).toHaveLength(7);
  for (const each of again) {
    const first = all.findIndex(({ id }) => id === each.again);
    expect(all[first]).toMatchObject({ texts: each.texts, prompt: each.prompt });
    expect(each.place - first).toBeGreaterThan(5);
  }
  expect([...asked.keys()].every((id) => settled.has(id))).toBe(true);
});

test('gold questions without two texts are refused before anybody is asked', async () => {
  const file = join(temporaryFolder(), 'gold.jsonl');
  writeFileSync(file, '{"prompt":"a"}\n');
  await expect(ranked(temporaryFolder(), [], { gold: { file, share: 1 } })).rejects.toMatchObject({
    code: 'GOLD_EMPTY',
  });
});

test('the order of answers is that of the log, whatever the clock says', async () => {
  const folder = temporaryFolder();
  const question = questionOf({ promptId: 'p', prompt: 'p' }, ['a', 'b']);
  ask(folder, [question]);
  const besides = {
    strength: 'some' as const,
    tags: [],
    isFlagged: false,
    edit: null,
    left: 'first' as const,
    seconds: 1,
  };
  const who = { kind: 'answer' as const, question: question.id, annotator: 'ada', ...besides };
  await say(new QuestionLog(folder), { ...who, choice: 'first', key: 'key-1', timeMs: 2_000_000 });
  await say(new QuestionLog(folder), { ...who, choice: 'second', key: 'key-2', timeMs: 1000 });
  expect(readQuestions(folder).answers).toMatchObject([{ choice: 'second' }]);
});
