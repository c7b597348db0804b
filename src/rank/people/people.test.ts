import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { memoryAnswers } from '../services.ts';
import { openPeople } from './people.ts';
import { type Choice, peopleFolder, readQuestions, type Said, say, settle } from './questions.ts';

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

async function ranked(runPath: string, items: readonly RankItem[], signal?: AbortSignal): Promise<Ranking[]> {
  const ranker = openPeople({ answers: () => memoryAnswers(), runPath: () => runPath, signal });
  const rankings: Ranking[] = [];
  for await (const ranking of ranker.rank(stream(items))) rankings.push(ranking);
  return rankings;
}

let count = 0;
function answer(question: string, choice: Choice): Said {
  count += 1;
  return { kind: 'answer', question, choice, left: 'first', seconds: 1, key: `key-${count}`, timeMs: count };
}

/** Someone who answers every open question by the length of the texts, until `until` is done. */
async function answering(runPath: string, until: Promise<unknown>): Promise<void> {
  const folder = peopleFolder(runPath);
  let isDone = false;
  void until.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const { asked, answers } = readQuestions(folder);
    for (const { id, texts } of asked.values()) {
      if (answers.has(id)) continue;
      const [a, b] = [texts[0].length, texts[1].length];
      await say(folder, answer(id, a > b ? 'first' : a < b ? 'second' : 'tie'));
    }
    await setTimeout(20);
  }
}

test('a run waits until people have put the texts of every prompt in order', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['aa', 'a', 'aaa']), item('q', ['b', 'c', 'bb', 'b'])]);
  await answering(runPath, rankings);
  expect(await rankings).toEqual([
    { promptId: 'p', scores: null, order: [2, 0, 1], ties: [] },
    { promptId: 'q', scores: null, order: [2, 0, 1, 3], ties: [[0, 1, 3]] },
  ]);
});

test('a run that is started again asks nothing twice', async () => {
  const runPath = temporaryFolder();
  const first = ranked(runPath, [item('p', ['aa', 'a', 'aaa'])]);
  await answering(runPath, first);
  const asked = readQuestions(peopleFolder(runPath)).asked.size;
  expect(await ranked(runPath, [item('p', ['aa', 'a', 'aaa'])])).toEqual(await first);
  expect(readQuestions(peopleFolder(runPath)).asked.size).toBe(asked);
});

test('a run that waits hears the signal to stop', async () => {
  const stop = new AbortController();
  const rankings = ranked(temporaryFolder(), [item('p', ['a', 'b'])], stop.signal);
  stop.abort(new Error('stopped'));
  await expect(rankings).rejects.toThrow('stopped');
});

test('a skipped prompt has no verdict, and a prompt with one text needs none', async () => {
  const runPath = temporaryFolder();
  const rankings = ranked(runPath, [item('p', ['a', 'b']), item('q', ['c', 'c'])]);
  for (;;) {
    const [question] = readQuestions(peopleFolder(runPath)).asked.values();
    if (question !== undefined) await say(peopleFolder(runPath), answer(question.id, 'skip'));
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
  const rankings = ranked(runPath, [item('p', ['a', 'b'])], stop.signal).catch(() => {});
  await setTimeout(50);
  stop.abort();
  await rankings;
  const folder = peopleFolder(runPath);
  return { folder, id: [...readQuestions(folder).asked.keys()][0] ?? '' };
}

test('an answer that is sent twice counts once, and the last of several stands', async () => {
  const { folder, id } = await asked();
  const first = answer(id, 'first');
  await say(folder, first);
  await say(folder, answer(id, 'second'));
  await say(folder, first);
  expect(readQuestions(folder).answers.get(id)?.choice).toBe('second');
});

test('an answer may be taken back until the run has used it, and then no more', async () => {
  const { folder, id } = await asked();
  await say(folder, answer(id, 'first'));
  await say(folder, { kind: 'undo', question: id, key: 'undo-1', timeMs: 1 });
  expect(readQuestions(folder).answers.size).toBe(0);
  await say(folder, answer(id, 'tie'));
  await settle(folder, (answers) => ({ result: answers.get(id)?.choice, ids: [id] }));
  await expect(say(folder, { kind: 'undo', question: id, key: 'undo-2', timeMs: 2 })).rejects.toMatchObject({
    code: 'PEOPLE_QUESTION_SETTLED',
  });
  await expect(say(folder, answer('nothing', 'first'))).rejects.toMatchObject({ code: 'PEOPLE_QUESTION_UNKNOWN' });
});

test('half an answer that a dying process left is none, and the next one is whole', async () => {
  const { folder, id } = await asked();
  await say(folder, answer(id, 'first'));
  const path = join(folder, 'answers.jsonl');
  const whole = readFileSync(path, 'utf8');
  for (let length = 1; length < whole.length; length += 7) {
    appendFileSync(path, whole.slice(0, length));
    await say(folder, answer(id, length % 2 === 0 ? 'tie' : 'second'));
    expect(readQuestions(folder).answers.get(id)?.choice).toBe(length % 2 === 0 ? 'tie' : 'second');
  }
});

test('without a run there are no people to ask', () => {
  expect(() => openPeople({ answers: () => memoryAnswers() })).toThrow(/ranker: \{kind: people\}/);
});
