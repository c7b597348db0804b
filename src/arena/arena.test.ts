import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { type Arena, boutsOf, readArena, writeArena } from './arena.ts';
import { eventsOfVotes, rowsOfVotes, standingsOf } from './standings.ts';
import { castVote, openBouts, readVotes, type Vote, VoteLog } from './votes.ts';

const ARENA: Arena = {
  formatVersion: 1,
  createdAt: '2026-01-02T00:00:00.000Z',
  contenders: [
    { name: 'base', source: 'base' },
    { name: 'one', source: 'runs/x/iteration-1/model' },
    { name: 'two', source: 'runs/x/iteration-2/model' },
  ],
  sampling: { temperature: 0.7, topP: 1, maxNewTokens: 10, seed: 0 },
  prompts: [
    { promptId: 'p', prompt: { kind: 'text', text: 'Say it.' }, shown: 'Say it.', answers: ['b', 'a', 'c'] },
    {
      promptId: 'q',
      prompt: { kind: 'chat', messages: [{ role: 'user', content: 'And?' }] },
      shown: 'And?',
      answers: ['same', 'same', 'other'],
    },
    { promptId: 'r', prompt: { kind: 'text', text: 'No?' }, shown: 'No?', answers: ['x', null, null] },
  ],
};

const vote = (bout: string, choice: Vote['choice'], annotator = 'owner'): Vote => ({
  kind: 'vote',
  ...{ bout, annotator, choice, left: 'first', seconds: 1, key: `${bout} ${annotator}`, timeMs: 1 },
});

/** The bout of two texts. */
const boutOf = (a: string, b: string) => {
  const found = boutsOf(ARENA).find(({ texts }) => texts.includes(a) && texts.includes(b));
  if (found === undefined) throw new Error(`${a} and ${b} do not meet`);
  return found;
};

it('every two different answers to a prompt meet, and equal ones share their bout', () => {
  expect(boutsOf(ARENA).map(({ texts, contenders }) => [texts, contenders])).toEqual([
    [
      ['a', 'b'],
      [[1], [0]],
    ],
    [
      ['a', 'c'],
      [[1], [2]],
    ],
    [
      ['b', 'c'],
      [[0], [2]],
    ],
    [
      ['other', 'same'],
      [[2], [0, 1]],
    ],
  ]);
});

it('an arena is what was written; a newer one, a damaged one and none are refused with what to do', async () => {
  const folder = temporaryFolder();
  expect(() => readArena(folder)).toThrow(expect.objectContaining({ code: 'ARENA_MISSING' }));
  const { formatVersion: _, ...made } = ARENA;
  await writeArena(folder, made);
  expect(readArena(folder)).toEqual(ARENA);
  await expect(writeArena(folder, made)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  writeFileSync(join(folder, 'arena.json'), JSON.stringify({ ...ARENA, formatVersion: 2 }));
  expect(() => readArena(folder)).toThrow(expect.objectContaining({ code: 'ARENA_NEWER' }));
  writeFileSync(join(folder, 'arena.json'), JSON.stringify({ ...ARENA, contenders: 3 }));
  expect(() => readArena(folder)).toThrow(/ARENA_DAMAGED|contenders/);
});

it('a vote is kept once, the latest of an annotator stands, and undo takes it back', async () => {
  const folder = temporaryFolder();
  const { id } = boutOf('a', 'b');
  await castVote(new VoteLog(folder), ARENA, vote(id, 'first'));
  await castVote(new VoteLog(folder), ARENA, vote(id, 'second')); // the same key: sent twice
  expect(readVotes(folder).standing.map(({ choice }) => choice)).toEqual(['first']);
  await castVote(new VoteLog(folder), ARENA, { ...vote(id, 'second'), key: 'another' });
  expect(readVotes(folder).standing.map(({ choice }) => choice)).toEqual(['second']);
  expect(openBouts(ARENA, readVotes(folder), 'owner').map((each) => each.id)).not.toContain(id);
  await castVote(new VoteLog(folder), ARENA, { kind: 'undo', bout: id, annotator: 'owner', key: 'undo', timeMs: 2 });
  expect(readVotes(folder).standing).toEqual([]);
  expect(readVotes(folder).events).toHaveLength(3);
  await expect(castVote(new VoteLog(folder), ARENA, vote('none', 'tie'))).rejects.toMatchObject({
    code: 'ARENA_BOUT_UNKNOWN',
  });
});

it('bouts with fewer votes come first', () => {
  const standing = boutsOf(ARENA)
    .slice(1)
    .map(({ id }) => vote(id, 'tie', 'ada'));
  expect(openBouts(ARENA, { events: [], standing }, 'ben')[0]?.id).toBe(boutsOf(ARENA)[0]?.id);
});

it('who wins more is rated higher, a tie is half, and nobody is infinitely far away', () => {
  const { contenders, votes, skipped, leftShare } = standingsOf(ARENA, {
    standing: [
      vote(boutOf('a', 'b').id, 'first'), // one over base
      vote(boutOf('a', 'c').id, 'first'), // one over two
      vote(boutOf('b', 'c').id, 'tie'),
      vote(boutOf('same', 'other').id, 'skip'),
    ],
  });
  expect(contenders.map(({ name, wins, ties, losses }) => [name, wins, ties, losses])).toEqual([
    ['one', 2, 0, 0],
    ['base', 0, 1, 1],
    ['two', 0, 1, 1],
  ]);
  const [one, base, two] = contenders.map(({ rating }) => rating);
  expect(one?.value).toBeGreaterThan(base?.value ?? 0);
  expect(base?.value).toBeCloseTo(two?.value ?? 0, 6);
  expect(one?.high).toBeLessThan(3000);
  expect([votes, skipped, leftShare]).toEqual([4, 1, 1]);
});

it('votes become rows to train on, a tie none; events say who wrote what', () => {
  const standing = [
    vote(boutOf('a', 'b').id, 'second'),
    vote(boutOf('a', 'c').id, 'tie'),
    vote(boutOf('same', 'other').id, 'second', 'ada'),
    vote(boutOf('b', 'c').id, 'first', 'ada'),
    vote(boutOf('b', 'c').id, 'second', 'ben'),
  ];
  expect(rowsOfVotes(ARENA, { standing })).toEqual([
    { prompt_id: 'p', prompt: 'Say it.', chosen: 'b', rejected: 'a' },
    {
      prompt_id: 'q',
      prompt: [{ role: 'user', content: 'And?' }],
      chosen: [{ role: 'assistant', content: 'same' }],
      rejected: [{ role: 'assistant', content: 'other' }],
    },
  ]);
  expect(eventsOfVotes(ARENA, { events: standing.slice(2, 3) })).toMatchObject([
    { choice: 'second', texts: ['other', 'same'], contenders: [['two'], ['base', 'one']] },
  ]);
});
