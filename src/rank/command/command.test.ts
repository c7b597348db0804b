/** @file A program as ranker: what it is asked, how its answers are read, and what is said when it fails. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { RankerError } from '../../errors.ts';
import { packageRoot } from '../../files/package-root.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import type { Candidate, Ranker, RankItem, Ranking } from '../ranker.ts';
import { type CommandSettings, openCommandRanker } from './command.ts';

let ranker: Ranker | null = null;
afterEach(async () => {
  await ranker?.close();
  ranker = null;
});

const DEFAULTS = { gives: 'scores', timeoutMs: 5000, concurrency: 4, onError: 'stop' } as const;

/** Answers every question by `expression` of `q`, the question. */
const answering = (expression: string): string => `
  const { createInterface } = require('node:readline');
  createInterface({ input: process.stdin }).on('line', (line) => {
    const q = JSON.parse(line);
    const answer = ${expression};
    if (answer !== undefined) process.stdout.write(typeof answer === 'string' ? answer + '\\n' : JSON.stringify(answer) + '\\n');
  });`;

async function open(source: string, changes: Partial<CommandSettings> = {}, warnings: string[] = []): Promise<Ranker> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'reward.cjs'), source);
  const settings = { ...DEFAULTS, command: [process.execPath, 'reward.cjs'], folder, ...changes };
  ranker = await openCommandRanker(settings, { signal: undefined, warn: (text) => warnings.push(text) });
  return ranker;
}

function item(promptId: string, ...texts: string[]): RankItem {
  const candidates = texts.map((text, sampleIndex): Candidate => ({ kind: 'response', sampleIndex, text }));
  const source = { file: 'rows.jsonl', line: 7 };
  return { promptId, prompt: { kind: 'text', text: `prompt of ${promptId}` }, candidates, source };
}

async function rankAll(from: Ranker, ...items: RankItem[]): Promise<Ranking[]> {
  async function* stream() {
    yield* items;
  }
  const rankings: Ranking[] = [];
  for await (const ranking of from.rank(stream())) rankings.push(ranking);
  return rankings;
}

async function failure(work: Promise<unknown>): Promise<RankerError> {
  const outcome = await work.then(
    () => 'no error',
    (error: unknown) => error,
  );
  if (!(outcome instanceof RankerError)) throw new TypeError(`Expected a RankerError, got ${String(outcome)}`);
  return outcome;
}

const LENGTHS = answering('({ id: q.id, scores: q.responses.map((text) => text.length) })');

describe('openCommandRanker()', () => {
  test('ranks by the scores of a program, each distinct text asked about once', async () => {
    const rankings = await rankAll(await open(LENGTHS), item('a', 'xx', 'x', 'xx'), item('b', 'y'));
    expect(rankings).toEqual([
      { promptId: 'a', scores: [2, 1, 2], order: [0, 2, 1], ties: [[0, 2]] },
      { promptId: 'b', scores: [1], order: [0], ties: [] },
    ]);
  });

  test('ranks by an order where the settings say so', async () => {
    const source = answering('({ id: q.id, order: q.responses.map((_, index) => index).reverse() })');
    const opened = await open(source, { gives: 'order' });
    expect(opened.gives).toBe('order');
    expect(await rankAll(opened, item('a', 'x', 'y', 'z'))).toEqual([
      { promptId: 'a', scores: null, order: [2, 1, 0], ties: [] },
    ]);
  });

  test('takes answers in any order and gives rankings in that of the items, with no more than `concurrency` questions open', async () => {
    const source = `
      const waiting = [];
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
        const q = JSON.parse(line);
        waiting.push(q);
        const most = waiting.length;
        clearTimeout(globalThis.timer);
        globalThis.timer = setTimeout(() => {
          for (const each of waiting.splice(0).reverse())
            console.log(JSON.stringify({ id: each.id, scores: each.responses.map(() => most) }));
        }, 30);
      });`;
    const names = ['a', 'b', 'c', 'd', 'e'];
    const rankings = await rankAll(await open(source, { concurrency: 3 }), ...names.map((name) => item(name, 'x')));
    expect(rankings.map(({ promptId }) => promptId)).toEqual(names);
    expect(Math.max(...rankings.map(({ scores }) => scores?.[0] ?? 0))).toBe(3);
  });

  test('is known by the command and the content of the files that it names', async () => {
    const first = (await open(LENGTHS)).id;
    await ranker?.close();
    const same = (await open(LENGTHS)).id;
    await ranker?.close();
    const other = (await open(`${LENGTHS} // changed`)).id;
    expect(first).toContain('reward.cjs:scores:sha256=');
    expect(same).toBe(first);
    expect(other).not.toBe(first);
  });

  test('gives chats whole, and shows what the program writes on standard error', async () => {
    const warnings: string[] = [];
    const source = answering('(console.error(JSON.stringify(q)), { id: q.id, scores: q.responses.map(() => 0) })');
    const messages = [
      { role: 'system', content: 'Be kind' },
      { role: 'user', content: 'Hi' },
    ];
    await rankAll(await open(source, {}, warnings), { ...item('c', 'Yo'), prompt: { kind: 'chat', messages } });
    await ranker?.close();
    expect(warnings[1]).toContain(
      '"promptId":"c","prompt":"Hi","messages":[{"role":"system","content":"Be kind"},{"role":"user","content":"Hi"}],"responses":["Yo"]',
    );
  });

  test.each([
    [
      'ends while it starts',
      'console.error("no module named torch"); process.exit(3);',
      'RANKER_CRASHED',
      /ended with exit code 3 [\s\S]*no module named torch/,
    ],
    [
      'writes other text',
      answering('"loading ..."'),
      'RANKER_PROTOCOL',
      /not JSON .*"loading \.\.\.": standard output is for answers/,
    ],
    [
      'writes NaN',
      answering('"{\\"id\\": 0, \\"scores\\": [NaN, 1]}"'),
      'RANKER_PROTOCOL',
      /it holds NaN, which Python/,
    ],
    ['forgets the id', answering('({ scores: [1, 2] })'), 'RANKER_PROTOCOL', /give back the id/],
    [
      'gives too few scores',
      answering('({ id: q.id, scores: [1] })'),
      'RANKER_RESULT',
      /the field "scores" of .* returned 1 values for 2 distinct/,
    ],
    [
      'gives an order in place of scores',
      answering('({ id: q.id, order: [0, 1] })'),
      'RANKER_RESULT',
      /the field "scores" of .* returned undefined/,
    ],
    [
      'answers with an error',
      answering('({ id: q.id, error: "out of memory" })'),
      'RANKER_THREW',
      /answered with an error: out of memory/,
    ],
  ])('finds on trial a program that %s', async (_, source, code, says) => {
    const error = await failure(open(source));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^Cannot use the ranker: asked on trial, the (command|field) "/);
    expect(error.message).toMatch(says);
    expect(error.exitCode).toBe(2);
  });

  test('says that there is no such program', async () => {
    const error = await failure(open('', { command: ['no-such-program-here', 'reward.py'] }));
    expect(error.code).toBe('RANKER_COMMAND_MISSING');
    expect(error.message).toContain('set ranker.command to a program that is installed');
  });

  const FAILS_AT_BAD = (what: string): string =>
    answering(`q.prompt === 'prompt of bad' ? ${what} : { id: q.id, scores: q.responses.map((text) => text.length) }`);

  test('loses only the prompt that it answers with an error under onError drop', async () => {
    const source = FAILS_AT_BAD('{ id: q.id, error: "no verdict" }');
    const rankings = await rankAll(
      await open(source, { onError: 'drop' }),
      item('a', 'x'),
      item('bad', 'x'),
      item('b', 'xx'),
    );
    expect(rankings.map(({ scores, problem }) => problem ?? scores)).toEqual([
      [1],
      expect.stringContaining('answered with an error: no verdict'),
      [2],
    ]);
  });

  test.each([
    ['ends', 'process.exit(1)', 'RANKER_CRASHED'],
    ['falls silent', 'undefined', 'RANKER_TIMEOUT'],
  ])('ends the work, also under onError drop, when the program %s', async (_, what, code) => {
    const opened = await open(FAILS_AT_BAD(what), { onError: 'drop', timeoutMs: 300 });
    const error = await failure(rankAll(opened, item('a', 'x'), item('bad', 'x'), item('b', 'x')));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^Cannot rank prompt "prompt of (bad|b)" \(rows\.jsonl:7\): the command/);
  });

  test('stops with the reason of its signal, and leaves no process behind', async () => {
    const stop = new AbortController();
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'reward.cjs'), FAILS_AT_BAD('(console.error(process.pid), undefined)'));
    let pid = 0;
    ranker = await openCommandRanker(
      { ...DEFAULTS, command: [process.execPath, 'reward.cjs'], folder },
      {
        signal: stop.signal,
        warn: (text) => {
          pid = Number(/\d+$/.exec(text)?.[0]);
          stop.abort(new Error('enough'));
        },
      },
    );
    await expect(rankAll(ranker, item('bad', 'x'))).rejects.toThrow('enough');
    await ranker.close();
    expect(pid).toBeGreaterThan(0);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('runs the example in Python with its standard library alone', async () => {
    ranker = await openCommandRanker(
      { ...DEFAULTS, command: ['python3', '-I', 'reward.py'], folder: join(packageRoot, 'examples') },
      { signal: undefined },
    );
    const prompt = { kind: 'text', text: 'Where do penguins live?' } as const;
    const [ranking] = await rankAll(ranker, { ...item('a', 'I do not know.', 'Penguins live in the south.'), prompt });
    expect(ranking?.order).toEqual([1, 0]);
  });
});
