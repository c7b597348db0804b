/** @file An arena from models, a server and a file of answers to rows that a recipe reads. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { boutsOf, readArena } from '../src/arena/arena.ts';
import { castVote, VoteLog } from '../src/arena/votes.ts';
import { makeArena } from '../src/cli/arena-make.ts';
import { programFor } from '../src/cli/program.ts';
import { collectRows, readRows } from '../src/data/read.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { temporaryFolder } from '../src/files/temporary.testing.ts';
import { ALONE } from '../src/ranks/team.ts';

test('a model, a server and a file of answers meet on own prompts; votes become pairs that data.train reads', async () => {
  const folder = temporaryFolder();
  const lines = (name: string, rows: readonly object[]): string => {
    const path = join(folder, name);
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  };
  const prompts = lines('prompts.jsonl', [{ prompt: 'Once upon a time' }, { prompt: 'Tom saw a dog.' }]);
  const file = lines('answers.jsonl', [{ prompt: 'Once upon a time', response: 'A file said this.' }]);
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      asked.push((JSON.parse(body) as { messages: { content: string }[] }).messages[0]?.content ?? '');
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ choices: [{ message: { content: 'A judge said this.' }, finish_reason: 'stop' }] }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;

  const arena = join(folder, 'arena');
  const made = await makeArena(
    arena,
    {
      prompts,
      contenders: [
        { name: 'base', place: join(packageRoot, 'assets', 'stories260K') },
        { name: 'judge', place: `http://127.0.0.1:${port}/v1#any` },
        { name: 'file', place: file },
      ],
      columns: {},
      ...{ temperature: 0, topP: 1, maxNewTokens: 8, seed: 0 },
      store: join(folder, 'store.db'),
    },
    { signal: new AbortController().signal, say: () => {}, team: ALONE },
  );
  expect(made).toEqual({ prompts: 2, bouts: 4 }); // three answers to one prompt, two to the other
  expect(asked).toEqual(['Once upon a time', 'Tom saw a dog.']);
  const read = readArena(arena);
  expect(read.prompts[1]?.answers).toEqual([expect.stringMatching(/\w/), 'A judge said this.', null]);

  for (const { id, texts } of boutsOf(read))
    await castVote(new VoteLog(arena), read, {
      ...{ kind: 'vote', bout: id, annotator: 'ada', left: 'first', seconds: 1, key: id, timeMs: 1 },
      choice: texts[0] === 'A judge said this.' ? 'first' : texts[1] === 'A judge said this.' ? 'second' : 'tie',
    });
  const out = join(folder, 'votes.jsonl');
  for (const words of [
    ['arena', 'export', arena, out],
    ['arena', 'export', arena, `${out}.events`, '--as', 'events'],
  ])
    await (await programFor(words)).parseAsync(words, { from: 'user' });
  const rows = await collectRows(readRows([out]), { limit: null, onBadRow: 'stop' });
  expect(rows.map(({ chosen }) => chosen)).toEqual(Array(3).fill('A judge said this.'));
  const events = readFileSync(`${out}.events`, 'utf8').trim().split('\n');
  expect(events).toHaveLength(4);
  expect(JSON.parse(events[0] ?? '')).toMatchObject({ annotator: 'ada', contenders: expect.any(Array) });
}, 60_000);
