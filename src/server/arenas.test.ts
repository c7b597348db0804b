/** @file Arenas through the studio's interface: blind, durable, within rights. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeArena } from '../arena/arena.ts';
import { readVotes } from '../arena/votes.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { ArenaItem, ArenaStandings, GivenVote, OpenBouts } from './api.ts';
import { Arenas } from './arenas.ts';
import { type Studio, serveStudio } from './listen.ts';
import { invitationOf } from './token.ts';

const token = 'a-token-for-tests-only';

/** A studio over an arena in which a strong contender always says better. */
async function open(prompts = 3): Promise<{ studio: Studio; folder: string }> {
  const folder = join(temporaryFolder(), 'duel');
  await writeArena(folder, {
    createdAt: '2026-01-02T00:00:00.000Z',
    contenders: [
      { name: 'secret-base', source: 'models/secret-base' },
      { name: 'secret-strong', source: 'models/secret-strong' },
    ],
    sampling: { temperature: 0.7, topP: 1, maxNewTokens: 10, seed: 0 },
    prompts: Array.from({ length: prompts }, (_, n) => ({
      promptId: `p${n}`,
      prompt: { kind: 'text' as const, text: `prompt ${n}` },
      shown: `prompt ${n}`,
      answers: [`worse ${n}`, `better ${n}`],
    })),
  });
  const studio = await serveStudio({ folders: [join(folder, '..')], port: 0, token, assets: new Map() });
  onTestFinished(() => studio.close());
  return { studio, folder };
}

async function request(studio: Studio, path: string, { as = token, body }: { as?: string; body?: unknown } = {}) {
  const response = await fetch(`http://127.0.0.1:${studio.port}${path}`, {
    headers: { authorization: `Bearer ${as}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

test('a voter sees no name in anything that is sent, votes, takes back, and is rated by', async () => {
  const { studio, folder } = await open();
  const ada = invitationOf({ name: 'ada', right: 'label' }, token);
  const asked = await request(studio, '/api/arenas/duel/bouts', { as: ada });
  expect(asked.text).not.toContain('secret');
  let { next } = JSON.parse(asked.text) as OpenBouts;
  expect(next).toHaveLength(3);
  for (let n = 0; n < 3; n++) {
    const [bout] = next;
    if (bout === undefined) throw new Error('There is a bout');
    const choice = bout.left.startsWith('better') ? 'left' : 'right';
    const vote: GivenVote = { bout: bout.id, choice, seconds: 1, key: `vote-of-${bout.id}` };
    const said = await request(studio, '/api/arenas/duel/votes', { as: ada, body: vote });
    expect([said.status, said.text.includes('secret')]).toEqual([200, false]);
    ({ next } = JSON.parse(said.text) as OpenBouts);
  }
  expect(readVotes(folder).standing.map(({ annotator }) => annotator)).toEqual(['ada', 'ada', 'ada']);
  const { contenders, votes } = JSON.parse(
    (await request(studio, '/api/arenas/duel/standings')).text,
  ) as ArenaStandings;
  expect([votes, contenders[0]?.name, contenders[0]?.wins]).toEqual([3, 'secret-strong', 3]);

  const last = readVotes(folder).standing.at(-1)?.bout ?? '';
  const undo: GivenVote = { bout: last, choice: 'undo', seconds: 0, key: 'undo-of-the-last' };
  expect((await request(studio, '/api/arenas/duel/votes', { as: ada, body: undo })).status).toBe(200);
  expect(readVotes(folder).standing).toHaveLength(2);
  const { arenas } = JSON.parse((await request(studio, '/api/arenas', { as: ada })).text) as { arenas: ArenaItem[] };
  expect(arenas).toEqual([{ id: 'duel', prompts: 3, open: 1, own: 2 }]);
});

test('ratings are computed anew when votes came, and only then', async () => {
  const { folder } = await open(1);
  const arenas = new Arenas([join(folder, '..')]);
  const before = arenas.standings('duel');
  expect(arenas.standings('duel')).toBe(before);
  const [bout] = arenas.bouts('duel', 'owner').next;
  const vote: GivenVote = { bout: bout?.id ?? '', choice: 'left', seconds: 1, key: 'the-only-vote' };
  await arenas.vote('duel', vote, { voter: 'owner', timeMs: 1 });
  expect([before.votes, arenas.standings('duel').votes]).toEqual([0, 1]);
});

test('ratings are not for who only labels, and what is no vote, no arena or a damaged one is refused and said', async () => {
  const { studio, folder } = await open(1);
  const ada = invitationOf({ name: 'ada', right: 'label' }, token);
  expect((await request(studio, '/api/arenas/duel/standings', { as: ada })).status).toBe(403);
  expect((await request(studio, '/api/arenas/none/bouts')).status).toBe(404);
  const vote = { bout: 'none', choice: 'left', seconds: 1, key: '12345678' };
  expect((await request(studio, '/api/arenas/duel/votes', { body: vote })).status).toBe(404);
  expect((await request(studio, '/api/arenas/duel/votes', { body: { ...vote, choice: 'first' } })).status).toBe(400);
  mkdirSync(join(folder, '..', 'broken'));
  writeFileSync(join(folder, '..', 'broken', 'arena.json'), '{"formatVersion": 9}');
  const broken = await request(studio, '/api/arenas/broken/bouts');
  expect([broken.status, broken.text]).toEqual([422, expect.stringContaining('ARENA_NEWER')]);
  const { arenas } = JSON.parse((await request(studio, '/api/arenas')).text) as { arenas: ArenaItem[] };
  expect(arenas.map(({ id }) => id)).toEqual(['duel']);
});
