/** @file A run whose model and data lie on the Hub: the commits are in its record, and it goes on with them, also offline. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { respond } from '../src/cli/respond.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { type FakeHub, type FakeRepository, startFakeHub } from '../src/hub/fake-hub.testing.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { readRunConfig } from '../src/store/run-config.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const OLD = 'a'.repeat(40);
const NEW = 'b'.repeat(40);
const TOKEN = 'hf_SecretOfTheTest123';

const root = mkdtempSync(join(tmpdir(), 'selm-hub-'));
const prompts = (names: string[]): Buffer =>
  Buffer.from(names.map((name) => `${JSON.stringify({ prompt: `${name} saw a dog.` })}\n`).join(''));
const data: FakeRepository = {
  type: 'dataset',
  name: 'owner/prompts',
  commits: new Map([
    [OLD, new Map([['data/train-00000-of-00001.jsonl', prompts(['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max'])]])],
  ]),
  token: TOKEN,
};
const rows = [0, 1, 2].map((i) => ({
  activity_label: 'Play',
  ctx_a: `Tom has ball ${i}.`,
  ctx_b: 'he',
  endings: ['throws it.', 'is sad.', 'eats it.', 'sleeps.'],
  label: '0',
}));
const hellaswag: FakeRepository = {
  type: 'dataset',
  name: 'Rowan/hellaswag',
  commits: new Map([
    [
      OLD,
      new Map([
        ['data/validation-00000-of-00001.jsonl', Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))],
      ]),
    ],
  ]),
};
let hub: FakeHub;

beforeAll(async () => {
  const assets = join(packageRoot, 'assets', 'stories260K');
  const files = readdirSync(assets).filter((name) => /\.(json|jinja|safetensors)$/.test(name));
  const card = Buffer.from('---\nlicense: mit\n---\n');
  const model: FakeRepository = {
    type: 'model',
    name: 'owner/stories',
    commits: new Map([
      [OLD, new Map([['README.md', card], ...files.map((name) => [name, readFileSync(join(assets, name))] as const)])],
    ]),
    token: TOKEN,
  };
  hub = await startFakeHub([model, data, hellaswag]);
});
afterAll(async () => {
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

const environment = { ...process.env };
afterEach(() => {
  process.env = { ...environment };
});

/** A recipe of names on the Hub, in a folder of its own, and how to run it. */
function world(name: string): {
  output: string;
  run: (variables?: Record<string, string>, overrides?: string[]) => Promise<LoopEvent[]>;
} {
  const folder = join(root, name);
  const path = writeSmallRecipe(folder, {
    model: 'hub:owner/stories',
    data: { train: 'hub:owner/prompts' },
    iterations: 1,
  });
  const output = join(folder, 'run');
  const run = async (variables: Record<string, string> = {}, overrides: string[] = []): Promise<LoopEvent[]> => {
    Object.assign(process.env, {
      HF_ENDPOINT: hub.url,
      HF_HUB_CACHE: join(root, 'cache'),
      HF_TOKEN: TOKEN,
      ...variables,
    });
    const events: LoopEvent[] = [];
    await runRecipe(loadRecipe(path, { overrides: [`output=${output}`, ...overrides] }), {
      watch: (event) => void events.push(event),
    });
    return events;
  };
  return { output, run };
}

it('selm generate takes names on the Hub', async () => {
  Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HUB_CACHE: join(root, 'cache'), HF_TOKEN: TOKEN });
  const options = {
    samples: 1,
    temperature: 0,
    topP: 1,
    topK: 0,
    maxNewTokens: 4,
    seed: 1,
    json: true as const,
    device: 'cpu',
  };
  const lines: string[] = [];
  const prompts = `hub:owner/prompts@${OLD}`;
  for await (const line of respond('hub:owner/stories', { ...options, prompts, limit: 2 })) lines.push(line);
  expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toHaveLength(2);
});

describe('a run from the Hub', () => {
  it('records the commits of its names, goes on with them when the branch moved, and never shows the token', async () => {
    const { output, run } = world('first');
    const events = await run();
    expect(readRunConfig(output)).toMatchObject({
      recipe: { model: 'hub:owner/stories', data: { train: ['hub:owner/prompts'] } },
      hub: [
        { type: 'model', repository: 'owner/stories', revision: 'main', commit: OLD },
        { type: 'dataset', repository: 'owner/prompts', revision: 'main', commit: OLD },
      ],
    });
    expect(hub.tokens).toEqual(new Set([`Bearer ${TOKEN}`]));

    const card = readFileSync(join(output, 'iteration-1', 'model', 'README.md'), 'utf8');
    expect(card).toContain('base_model: owner/stories');
    expect(card).toContain('license: mit');

    const [files = new Map<string, Buffer>()] = data.commits.values();
    data.commits = new Map([
      [NEW, new Map([['data/train-00000-of-00001.jsonl', prompts(['Ann', 'Bob', 'Cid'])]])],
      [OLD, files],
    ]);
    const again = await run();
    expect(again.some(({ kind }) => kind === 'metrics')).toBe(false);

    expect(JSON.stringify([...events, ...again])).not.toContain(TOKEN);
    const written = [output, join(root, 'cache')].flatMap((folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    );
    expect(written.length).toBeGreaterThan(5);
    expect(written.filter((path) => readFileSync(path).includes(TOKEN))).toEqual([]);
  });

  it('needs no network with HF_HUB_OFFLINE where the cache has all, and writes nothing where it has not', async () => {
    const { output, run } = world('offline');
    const offline = { HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://127.0.0.1:9' };
    await run(offline);
    expect(readRunConfig(output)?.hub?.map(({ commit }) => commit)).toEqual([OLD, OLD]);

    const other = world('empty-cache');
    await expect(other.run({ ...offline, HF_HUB_CACHE: join(root, 'nothing') })).rejects.toMatchObject({
      code: 'HUB_OFFLINE',
      exitCode: 2,
    });
    expect(() => readdirSync(other.output)).toThrow('ENOENT');
  });

  it('fetches the rows of a benchmark that came later, and goes on with their commit', async () => {
    const { output, run } = world('benchmark');
    const variables = { XDG_CACHE_HOME: join(root, 'answers') };
    await run(variables);
    const overrides = ['evaluate.benchmarks={on: [{name: hellaswag, shots: 0}]}'];
    const asked = (events: LoopEvent[]): number =>
      events.filter((event) => event.kind === 'stage-started' && event.stage === 'benchmark').length;
    expect(asked(await run(variables, overrides))).toBe(2);
    const pinned = { type: 'dataset', repository: 'Rowan/hellaswag', revision: 'main', commit: OLD };
    expect(readRunConfig(output)?.hub).toContainEqual(pinned);
    const [files = new Map<string, Buffer>()] = hellaswag.commits.values();
    hellaswag.commits = new Map([
      [NEW, new Map([['data/validation-00000-of-00001.jsonl', Buffer.from(`${JSON.stringify(rows[0])}\n`)]])],
      [OLD, files],
    ]);
    expect(asked(await run(variables, overrides))).toBe(0);
  });
});
