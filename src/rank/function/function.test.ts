import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RankerError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import type { Candidate, Ranker, RankItem, Ranking } from '../ranker.ts';
import { type FunctionRankerOptions, loadFunctionRanker } from './function.ts';

let directory: string;
let ranker: Ranker | null = null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'selm-rank-'));
});
afterEach(async () => {
  await ranker?.close();
  ranker = null;
  rmSync(directory, { recursive: true });
});

async function load(source: string, options: FunctionRankerOptions = {}, name = 'reward.ts'): Promise<Ranker> {
  const path = join(directory, name);
  writeFileSync(path, source);
  ranker = await loadFunctionRanker(path, options);
  return ranker;
}

function item(promptId: string, ...texts: string[]): RankItem {
  const candidates = texts.map((text, sampleIndex): Candidate => ({ kind: 'response', sampleIndex, text }));
  return { promptId, prompt: { kind: 'text', text: `prompt of ${promptId}` }, candidates };
}

async function rankAll(from: Ranker, items: RankItem[]): Promise<Ranking[]> {
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

const LENGTH =
  'export function reward(prompt: string, responses: string[]): number[] { return responses.map((r) => r.length); }';

describe('loadFunctionRanker()', () => {
  test('ranks with a TypeScript module that exports reward', async () => {
    const [ranking] = await rankAll(await load(LENGTH), [item('a', 'xx', 'x', 'xxx')]);
    expect(ranking).toEqual({ promptId: 'a', scores: [2, 1, 3], order: [2, 0, 1], ties: [] });
  });

  test('ranks with a JavaScript module, and with one that is asynchronous', async () => {
    const source = 'export async function reward(_, responses) { await null; return responses.map((r) => -r.length); }';
    const [ranking] = await rankAll(await load(source, {}, 'reward.js'), [item('a', 'xx', 'x')]);
    expect(ranking).toMatchObject({ scores: [-2, -1], order: [1, 0] });
  });

  test('ranks with a module that exports rank, without scores', async () => {
    const loaded = await load('export const rank = (_: string, r: string[]) => [2, 0, 1];');
    const [ranking] = await rankAll(loaded, [item('a', 'x', 'y', 'z')]);
    expect(ranking).toEqual({ promptId: 'a', scores: null, order: [2, 0, 1], ties: [] });
    expect(loaded.gives).toBe('order');
  });

  test('names itself with the SHA-256 of the source', async () => {
    expect((await load(LENGTH)).id).toBe(`function:reward.ts:reward:sha256=${sha256(LENGTH)}`);
  });

  test('is made of all that it imports and reads while it is loaded, and of the files that it names', async () => {
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    };
    write('lib/weights.ts', "import { two } from './two';\nexport const weight: number = two;");
    write('lib/two.ts', 'export const two = 2;');
    write('words.txt', 'good');
    write('list.txt', 'better');
    write('late.txt', 'best');
    write('node_modules/counter/package.json', '{"name":"counter","version":"1.0.0","main":"index.js"}');
    write('node_modules/counter/index.js', 'exports.count = (text) => text.length;');
    const source = `import { readFileSync } from 'node:fs';
      import { readFile } from 'node:fs/promises';
      import counter from 'counter';
      import { weight } from './lib/weights';
      const words = readFileSync(new URL('./words.txt', import.meta.url), 'utf8') + (await readFile('${directory}/list.txt', 'utf8'));
      export const files = ['late.txt'];
      export const reward = (_: string, r: string[]) => r.map((text) => counter.count(text + words) * weight);`;
    const loaded = await load(source);
    const names = ['module', 'late.txt', 'lib/two.ts', 'lib/weights.ts', 'list.txt', 'package counter', 'words.txt'];
    expect(loaded.sources?.map(({ name }) => name)).toEqual(names);
    await loaded.close();
    const ids = new Set([loaded.id]);
    for (const [name, text] of [
      ['lib/two.ts', 'export const two = 3;'],
      ['words.txt', 'bad'],
      ['list.txt', 'worse'],
      ['late.txt', 'worst'],
      ['node_modules/counter/package.json', '{"name":"counter","version":"1.0.1","main":"index.js"}'],
    ] as const) {
      write(name, text);
      const changed = await load(source);
      expect(ids, name).not.toContain(changed.id);
      ids.add(changed.id);
      await changed.close();
    }
  });

  test.each([
    [
      'names a file that is not there',
      "export const files = ['gone.txt'];",
      /names \/.*gone\.txt, and there is no such file/,
    ],
    ['has an export files of something else', 'export const files = 3;', /its export files is no list of paths/],
  ])('refuses a module that %s', async (_, line, message) => {
    const error = await failure(load(`${line}\n${LENGTH}`));
    expect(error.code).toBe('RANKER_FILES');
    expect(error.message).toMatch(message);
  });

  test('gives the function the prompt, the responses and who wrote them', async () => {
    const source = `export const reward = (...all: unknown[]) => { throw new Error(JSON.stringify(all)); };`;
    const loaded = await load(source, { onError: 'drop' });
    const chat: RankItem = {
      promptId: 'c',
      prompt: {
        kind: 'chat',
        messages: [
          { role: 'system', content: 'Be kind' },
          { role: 'user', content: 'Hi' },
        ],
      },
      candidates: [
        { kind: 'response', sampleIndex: 0, text: 'Yo' },
        { kind: 'chosen', sampleIndex: null, text: 'Hello' },
      ],
    };
    const [text, message] = await rankAll(loaded, [item('a', 'x'), chat]);
    const context = '{"promptId":"a","messages":null,"candidates":[{"kind":"response","sampleIndex":0}]}';
    expect(text?.problem).toContain(`["prompt of a",["x"],${context}]`);
    expect(message?.problem).toContain('["Hi",["Yo","Hello"],{"promptId":"c","messages":[{"role":"system"');
    expect(message?.problem).toContain('{"kind":"chosen","sampleIndex":null}');
  });

  test('names the line of the user file that threw, and the prompt with its place in the data', async () => {
    writeFileSync(
      join(directory, 'helper.ts'),
      'interface Unused {\n  x: number;\n}\n\nexport function boom(): number {\n  throw new Error("no GPU");\n}\n',
    );
    const own =
      'type Text = string;\nexport function reward(_: Text, r: Text[]) {\n  return r.map(() => missing());\n}\n';
    const text = `${'Tom saw a dog. '.repeat(10)}The end.`;
    const asked: RankItem = {
      ...item('a', 'x'),
      prompt: { kind: 'text', text },
      source: { file: '/data/rows.jsonl', line: 12 },
    };
    const inModule = await failure(rankAll(await load(`${own}declare const missing: () => number;`), [asked]));
    expect(inModule.message).toBe(
      `Cannot rank prompt ${JSON.stringify(`${text.slice(0, 80)}...`)} (/data/rows.jsonl:12): reward() of ${join(directory, 'reward.ts')} threw ReferenceError: missing is not defined, at ${join(directory, 'reward.ts')}:3:22`,
    );
    await ranker?.close();
    const importing =
      'import { boom } from "./helper.ts";\nexport const reward = (_: string, r: string[]) => r.map(boom);';
    const inHelper = await failure(rankAll(await load(importing, {}, 'importing.ts'), [asked]));
    expect(inHelper.message).toContain(`threw Error: no GPU, at ${join(directory, 'helper.ts')}:6:9`);
  });

  test('says how a program in another language ranks', async () => {
    const error = await failure(loadFunctionRanker(join(directory, 'reward.py')));
    expect(error.code).toBe('RANKER_MODULE_KIND');
    expect(error.message).toContain('set ranker to { kind: command, command: [python3, reward.py] }');
  });

  test('refuses a file that is not there, and says what to write', async () => {
    const error = await failure(loadFunctionRanker(join(directory, 'absent.ts')));
    expect(error.code).toBe('RANKER_MODULE_MISSING');
    expect(error.message).toMatch(
      /absent\.ts: no such file: set ranker\.module to .* exports reward\(prompt, responses\)/,
    );
    expect(error.exitCode).toBe(2);
  });

  test.each([
    ['nothing', 'export const x = 1;', 'it exports no function: export exactly one of reward'],
    [
      'both',
      'export const reward = () => []; export const rank = () => [];',
      'it exports rank, reward: export exactly',
    ],
    ['another name', 'export const score = () => [];', 'it exports score: export exactly one of reward'],
  ])('refuses a module that exports %s', async (_, source, message) => {
    const error = await failure(load(source));
    expect(error.code).toBe('RANKER_EXPORT');
    expect(error.message).toContain(message);
    expect(error.message).toContain('reward.ts');
  });

  test.each([
    ['throws', 'throw new Error("no weights");', /Cannot load the ranker module .*reward\.ts: Error: no weights/],
    ['does not parse', 'export const = 1;', /Cannot load the ranker module .*reward\.ts/],
    ['leaves the process', 'process.exit(3);', /ended its thread with exit code 3/],
  ])('refuses a module that %s while it loads', async (_, source, message) => {
    const error = await failure(load(source));
    expect(error.code).toBe('RANKER_MODULE_FAILED');
    expect(error.message).toMatch(message);
  });

  test('refuses a module whose loading does not end', async () => {
    const error = await failure(load('while (true) {}; export const reward = () => [];', { loadTimeoutMs: 1500 }));
    expect(error.code).toBe('RANKER_TIMEOUT');
    expect(error.message).toContain('still loading after 1500 ms');
  });
});

describe('rank()', () => {
  test('records equal scores as ties', async () => {
    const [ranking] = await rankAll(await load(LENGTH), [item('a', 'xx', 'y', 'zz', 'w')]);
    expect(ranking?.ties).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  test('ranks identical texts equal, by asking about each text once', async () => {
    const counting = 'export const reward = (_: string, r: string[]) => r.map((_, index) => index);';
    const [scored] = await rankAll(await load(counting), [item('a', 'x', 'y', 'x')]);
    expect(scored).toEqual({ promptId: 'a', scores: [0, 1, 0], order: [1, 0, 2], ties: [[0, 2]] });
    await ranker?.close();
    const [ordered] = await rankAll(await load('export const rank = () => [1, 0];', {}, 'rank.ts'), [
      item('a', 'x', 'y', 'x'),
    ]);
    expect(ordered).toEqual({ promptId: 'a', scores: null, order: [1, 0, 2], ties: [[0, 2]] });
  });

  test('keeps the order of the items and runs no more than `concurrency` calls at once', async () => {
    const source = `
      let running = 0;
      export async function reward(prompt: string, responses: string[]) {
        const now = ++running;
        await new Promise((done) => setTimeout(done, prompt.endsWith('0') ? 120 : 10));
        running--;
        return responses.map(() => now);
      }`;
    const rankings = await rankAll(
      await load(source, { concurrency: 3 }),
      Array.from({ length: 9 }, (_, index) => item(`${index}`, 'x')),
    );
    expect(rankings.map(({ promptId }) => promptId)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8']);
    const together = rankings.map(({ scores }) => scores?.[0] ?? 0);
    expect(Math.max(...together)).toBe(3);
  });

  const BROKEN: [string, string, string, RegExp][] = [
    ['throws', 'throw new Error("no GPU")', 'RANKER_THREW', /reward\(\) of .* threw Error: no GPU/],
    ['returns NaN', 'return [1, NaN]', 'RANKER_RESULT', /returned NaN for response 1: scores are finite/],
    ['returns Infinity', 'return [Infinity, 1]', 'RANKER_RESULT', /returned Infinity for response 0/],
    ['returns text', 'return ["1", "2"]', 'RANKER_RESULT', /returned "1" for response 0/],
    ['returns too few scores', 'return [1]', 'RANKER_RESULT', /returned 1 values for 2 distinct responses/],
    ['returns one number', 'return 1', 'RANKER_RESULT', /returned 1: it returns an array of 2/],
    ['returns nothing', 'return', 'RANKER_RESULT', /returned undefined: it returns an array/],
    ['returns what cannot be copied', 'return [() => 1, 2]', 'RANKER_THREW', /could not be cloned/],
    ['leaves the process', 'process.exit(4)', 'RANKER_CRASHED', /ended its thread with exit code 4/],
    [
      'never answers',
      'return new Promise(() => {})',
      'RANKER_TIMEOUT',
      /took longer than 300 ms: make it faster, or raise/,
    ],
    ['loops forever', 'while (true) {}', 'RANKER_TIMEOUT', /took longer than 300 ms/],
    [
      'loops forever after an await',
      'return Promise.resolve().then(() => { while (true) {} })',
      'RANKER_TIMEOUT',
      /took longer than 300 ms/,
    ],
  ];
  // One module with every way to fail, chosen by the prompt, so that one thread serves them all.
  const CASES = BROKEN.map(([, statement], index) => `case 'prompt of bad${index}': { ${statement} }`).join('\n');
  const ALL_WAYS = `
    export function reward(prompt: string, responses: string[]): unknown {
      switch (prompt) { ${CASES} }
      return responses.map((r) => r.length);
    }`;

  describe.each([{ onError: 'stop' }, { onError: 'drop' }] as const)('with onError $onError', ({ onError }) => {
    let shared: Ranker;
    const folder = mkdtempSync(join(tmpdir(), 'selm-rank-'));
    beforeAll(async () => {
      const path = join(folder, 'reward.ts');
      writeFileSync(path, ALL_WAYS);
      shared = await loadFunctionRanker(path, { timeoutMs: 300, onError });
    });
    afterAll(async () => {
      await shared.close();
      rmSync(folder, { recursive: true });
    });

    test.each(BROKEN.map(([way, , code, message], index) => ({ way, code, message, bad: `bad${index}` })))(
      'loses only its prompt, and says why, when the function $way',
      async ({ code, message, bad }) => {
        const ranked = rankAll(shared, [item('good', 'x'), item(bad, 'x', 'yy'), item('later', 'xx')]);
        switch (onError) {
          case 'stop': {
            const error = await failure(ranked);
            expect(error.code).toBe(code);
            expect(error.message).toMatch(message);
            expect(error.message).toContain(`Cannot rank prompt "prompt of ${bad}" (prompt id ${bad}): `);
            expect(error.details.promptId).toBe(bad);
            expect(error.exitCode).toBe(2);
            break;
          }
          case 'drop': {
            const [good, dropped, later] = await ranked;
            expect(dropped).toMatchObject({ promptId: bad, scores: null, order: [], ties: [] });
            expect(dropped?.problem).toMatch(message);
            expect(good).toEqual({ promptId: 'good', scores: [1], order: [0], ties: [] });
            expect(later).toEqual({ promptId: 'later', scores: [2], order: [0], ties: [] });
          }
        }
      },
    );
  });

  test.each([
    ['a repeated index', '[0, 0]'],
    ['an index out of range', '[0, 2]'],
    ['no integer', '[0, 0.5]'],
  ])('refuses an order with %s', async (_, order) => {
    const error = await failure(rankAll(await load(`export const rank = () => ${order};`), [item('a', 'x', 'y')]));
    expect(error.message).toContain('an order names each index from 0 to 1 once, best first');
  });

  test('names the guilty prompt when several calls wait in the thread that one of them blocks', async () => {
    const source = `
      export async function reward(prompt: string, responses: string[]) {
        await new Promise((done) => setTimeout(done, 100));
        if (prompt.endsWith('bad')) while (true) {}
        await new Promise((done) => setTimeout(done, 50));
        return responses.map(() => 1);
      }`;
    const loaded = await load(source, { timeoutMs: 600, concurrency: 4, onError: 'drop' });
    const rankings = await rankAll(loaded, [item('a', 'x'), item('bad', 'x'), item('b', 'x'), item('c', 'x')]);
    expect(rankings.map(({ promptId, problem }) => [promptId, problem !== undefined])).toEqual([
      ['a', false],
      ['bad', true],
      ['b', false],
      ['c', false],
    ]);
  });

  test('gives up when the module blocks its thread whatever is asked', async () => {
    const source = `
      setTimeout(() => { while (true) {} }, 20);
      export const reward = () => new Promise((done) => setTimeout(() => done([1]), 60));`;
    const loaded = await load(source, { timeoutMs: 200, onError: 'drop' });
    const [ranking] = await rankAll(loaded, [item('a', 'x')]);
    expect(ranking?.problem).toContain('took longer than 200 ms');
  });
});

describe('textHealth()', () => {
  test('is what the module says of each response, and null without a guard', async () => {
    const loaded = await load(`${LENGTH} export const guard = (r: string) => r.length / 10;`);
    expect(await loaded.textHealth(['x', 'xxxxx'])).toEqual([0.1, 0.5]);
    await loaded.close();
    expect(await (await load(LENGTH, {}, 'plain.ts')).textHealth(['x'])).toBeNull();
  });

  test('refuses a guard outside [0, 1]', async () => {
    const loaded = await load(`${LENGTH} export const guard = () => 2;`);
    expect((await failure(loaded.textHealth(['x']))).message).toContain('returned 2: it returns a number from 0');
  });
});

test('the quickstart reward loads as a ranker and imports what lies beside it', async () => {
  const path = new URL('../../../recipes/quickstart/reward.ts', import.meta.url);
  ranker = await loadFunctionRanker(path.pathname);
  expect(ranker.sources?.map((source) => [source.name, source.sha256])).toEqual(
    ['reward.ts', 'words.txt'].map((name) => [
      name === 'reward.ts' ? 'module' : name,
      sha256(readFileSync(new URL(name, path))),
    ]),
  );
  const kind = 'She helped the bird to find its nest in the tree. The bird was happy and said thank you.';
  const [ranking] = await rankAll(ranker, [
    item('a', 'She was sad and cried. Her toy was lost in the big dark park.', kind),
  ]);
  expect(ranking?.order).toEqual([1, 0]);
  expect(await ranker.textHealth([kind])).toEqual([1]);
});
