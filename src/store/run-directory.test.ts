import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { parseRecipe } from '../recipe/load.ts';
import type { Recipe } from '../recipe/schema.ts';
import { differences } from './differences.ts';
import { packageVersion } from './identity.ts';
import type { ResponseRecord } from './ledger-rows.ts';
import { readRunConfig } from './run-config.ts';
import { RUN_FORMAT_VERSION } from './run-config-versions.ts';
import { type OpenRunOptions, openRun, type Run } from './run-directory.ts';

const options = { libtorchVersion: '2.15.0', clock: () => Date.UTC(2026, 0, 2) };

function saveWeights(folder: string, bytes: Uint8Array): void {
  writeSafetensors(join(folder, 'model.safetensors'), [{ name: 'w', dtype: 'U8', shape: [bytes.length], bytes }]);
}

/** A recipe with all its inputs in a folder of its own. */
function newRecipe(changes: Record<string, unknown> = {}): Recipe {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'model'));
  writeFileSync(join(folder, 'model/config.json'), '{}');
  saveWeights(join(folder, 'model'), new Uint8Array(1_000_000));
  writeFileSync(join(folder, 'rows.jsonl'), '{"prompt":"Hi"}\n');
  writeFileSync(join(folder, 'reward.ts'), 'export const reward = () => [];\n');
  return parseRecipe(
    {
      name: 'first',
      seed: 42,
      model: 'model',
      data: { train: 'rows.jsonl' },
      ranker: { kind: 'function', module: 'reward.ts' },
      objective: { preference: { kind: 'dpo' }, exploration: { kind: 'selm', alpha: 0.001 } },
      training: { learningRate: 5e-7 },
      ...changes,
    },
    { workingDirectory: folder },
  );
}

function open(recipe: Recipe, changes: Partial<OpenRunOptions> = {}): Run {
  const run = openRun(recipe, { ...options, ...changes });
  onTestFinished(() => run.close());
  return run;
}

/** A run that has sampled a response, and been closed. */
function sampledRun(recipe: Recipe): void {
  using run = open(recipe);
  run.ledger.stages.begin(1, 'sample');
  run.ledger.putResponses([response]);
}

const response: ResponseRecord = {
  iteration: 1,
  promptId: 'p',
  sampleIndex: 0,
  text: 'Ho',
  tokenIds: Int32Array.of(1, 2),
  finish: 'stop',
  logProb: -1,
  samplerSha256: 'a',
  seed: 42,
};

/** Every file of a folder with its content, but for what SQLite keeps beside a database that somebody reads. */
function contents(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !/-(wal|shm)$/.test(entry.name),
  );
  return new Map(
    names
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path, readFileSync(path, 'latin1')]),
  );
}

test('openRun() creates a run with its resolved recipe, identity and environment', () => {
  const recipe = newRecipe();
  const run = open(recipe);
  expect(run.resumed).toBe(false);
  expect(run.environmentChanges).toEqual([]);
  const config = parse(readFileSync(join(recipe.output, 'config.yaml'), 'utf8'));
  expect(config).toMatchObject({
    formatVersion: RUN_FORMAT_VERSION,
    createdAt: '2026-01-02T00:00:00.000Z',
    recipe,
    environment: {
      selm: packageVersion(),
      node: process.version,
      libtorch: '2.15.0',
      cores: expect.any(Number),
      memoryBytes: expect.any(Number),
    },
    continuedIn: [],
  });
  expect(config.recipe.training.learningRate).toBe(5e-7);
  expect(config.identity.model).toMatch(/^[0-9a-f]{64}$/);
  expect(config.identity.data).toEqual([{ bytes: 16, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
});

test('a run knows its paths', () => {
  const run = open(newRecipe());
  const inside = (path: string) => path.slice(run.path.length);
  expect([run.iterationPath(2), run.modelPath(0), run.checkpointsPath(1), run.reportPath].map(inside)).toEqual([
    '/iteration-2',
    '/iteration-0/model',
    '/iteration-1/checkpoints',
    '/report.html',
  ]);
});

test('openRun() with the same recipe goes on with the same ledger and leaves config.yaml as it is', () => {
  const recipe = newRecipe();
  const first = open(recipe);
  first.ledger.stages.begin(1, 'sample');
  first.close();
  first.close();
  const before = readFileSync(join(recipe.output, 'config.yaml'), 'utf8');
  const second = open(structuredClone(recipe), { clock: () => 0 });
  expect(second.resumed).toBe(true);
  expect(second.ledger.stages.status(1, 'sample')).toBe('running');
  expect(readFileSync(join(recipe.output, 'config.yaml'), 'utf8')).toBe(before);
});

test('openRun() goes on with a run that was made before some of the settings were there', () => {
  const recipe = newRecipe();
  sampledRun(recipe);
  const file = join(recipe.output, 'config.yaml');
  const config = parse(readFileSync(file, 'utf8'));
  delete config.recipe.training.dropLastStep;
  delete config.recipe.sft;
  delete config.recipe.evaluate.explorationPrompts;
  writeFileSync(file, stringify(config));
  const run = open(recipe);
  expect(run.changes).toEqual([]);
  expect(run.config.recipe).toEqual(recipe);
  run.close();
  // A setting that nobody knows is no reason to guess.
  writeFileSync(file, stringify({ ...config, recipe: { ...config.recipe, forgotten: 1 } }));
  expect(() => open(recipe)).toThrow(/forgotten: 1 -> \(none\)/);
});

test('openRun() records a changed environment and goes on', () => {
  const recipe = newRecipe();
  open(recipe).close();
  const run = open(recipe, { libtorchVersion: '2.16.0' });
  expect(run.environmentChanges).toEqual([{ field: 'libtorch', old: '2.15.0', new: '2.16.0' }]);
  run.close();
  expect(readRunConfig(recipe.output)?.continuedIn).toMatchObject([{ environment: { libtorch: '2.16.0' } }]);
  expect(open(recipe, { libtorchVersion: '2.16.0' }).environmentChanges).toEqual([]);
});

test('openRun() with another recipe is refused with old and new values, exit code 2, and nothing is written', () => {
  const recipe = newRecipe();
  sampledRun(recipe);
  const before = contents(recipe.output);
  const other: Recipe = { ...recipe, seed: 43, sampling: { ...recipe.sampling, temperature: 1 } };
  expect(() => open(other)).toThrow(
    expect.objectContaining({
      name: 'RunError',
      code: 'RUN_DIFFERS',
      exitCode: 2,
      message:
        `Cannot go on with run "${recipe.output}": it was started with other settings:\n` +
        '  seed: 42 -> 43\n' +
        '  sampling.temperature: 0 -> 1\n' +
        'Use another name or output for a new run, set the old values back, or delete the directory',
    }),
  );
  expect(contents(recipe.output)).toEqual(before);
});

test('openRun() goes on when only how the rankers work changed, and keeps the old and the new values', () => {
  const judge = { kind: 'judge', model: 'm', baseUrl: 'http://127.0.0.1:1/v1', budget: { calls: 10 } };
  const recipe = newRecipe({ ranker: judge, secondOpinion: { ranker: { ...judge, model: 'n' } } });
  if (recipe.ranker.kind !== 'judge' || recipe.secondOpinion?.ranker.kind !== 'judge') throw new Error('no judges');
  open(recipe).close();
  const raised: Recipe = {
    ...recipe,
    ranker: { ...recipe.ranker, budget: { calls: 20, money: null }, concurrency: 2 },
    secondOpinion: { ...recipe.secondOpinion, ranker: { ...recipe.secondOpinion.ranker, timeoutMs: 5 } },
  };
  const run = open(raised);
  run.ledger.putResponses([response]);
  run.ledger.putRanking({
    iteration: 1,
    promptId: 'p',
    rankerId: 'r',
    candidates: [],
    scores: [],
    order: [],
    ties: [],
  });
  run.ledger.stages.begin(1, 'rank');
  expect(run.changes.map(({ field }) => field)).toEqual([
    'ranker.budget.calls',
    'ranker.concurrency',
    'secondOpinion.ranker.timeoutMs',
  ]);
  run.close();
  const config = readRunConfig(recipe.output);
  expect(config?.recipe).toEqual(raised);
  expect(config?.continuedIn.at(-1)?.settings?.[0]).toEqual({ field: 'ranker.budget.calls', old: 10, new: 20 });
  // Going on with what it has is no change, and what decides the verdicts is none that may change.
  expect(open(raised).changes).toEqual([]);
  const other: Recipe = { ...raised, ranker: { ...recipe.ranker, temperature: 1 } };
  expect(() => open(other)).toThrow(/ranker\.temperature: 0 -> 1/);
});

test.each([
  [
    'the weights',
    (recipe: Recipe) => saveWeights(recipe.model, new Uint8Array(1_000_000).fill(1)),
    'model: the content of /',
  ],
  [
    'the model settings',
    (recipe: Recipe) => writeFileSync(join(recipe.model, 'config.json'), '{"x":1}'),
    'model: the content of /',
  ],
  [
    'the data',
    (recipe: Recipe) => writeFileSync(recipe.data.train[0] ?? '', '{"prompt":"Ho"}\n'),
    'data.train: the content of /',
  ],
])('openRun() is refused when the content of %s changed, and nothing is written', (_, change, named) => {
  const recipe = newRecipe();
  sampledRun(recipe);
  change(recipe);
  const before = contents(recipe.output);
  expect(() => open(recipe)).toThrow(expect.objectContaining({ code: 'RUN_DIFFERS' }));
  expect(() => open(recipe)).toThrow(new RegExp(`\\n {2}${named}.* changed\\n`));
  expect(() => open(recipe, { acceptChanges: true })).toThrow(expect.objectContaining({ code: 'RUN_DIFFERS' }));
  expect(contents(recipe.output)).toEqual(before);
});

test.each([
  ['the model', (recipe: Recipe) => rmSync(recipe.model, { recursive: true }), 'MODEL_NOT_FOUND'],
  ['the data', (recipe: Recipe) => rmSync(recipe.data.train[0] ?? ''), 'FILE_NOT_FOUND'],
])('openRun() writes nothing when %s is missing', (_, remove, code) => {
  const recipe = newRecipe();
  remove(recipe);
  expect(() => open(recipe)).toThrow(expect.objectContaining({ code }));
  expect(existsSync(recipe.output)).toBe(false);
});

test('openRun() of a run that is open is refused, and works again when that is closed', () => {
  const recipe = newRecipe();
  const run = open(recipe);
  expect(() => open(recipe)).toThrow(expect.objectContaining({ code: 'RUN_LOCKED' }));
  run.close();
  open(recipe);
});

test('openRun() takes over the run of a process that died', () => {
  const recipe = newRecipe();
  open(recipe).close();
  writeFileSync(
    join(recipe.output, 'run.lock'),
    JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), startedAt: null }),
  );
  expect(open(recipe).resumed).toBe(true);
});

test('openRun() finishes a creation that was stopped at any file', () => {
  const recipe = newRecipe();
  open(recipe).close();
  const names = readdirSync(recipe.output).filter((name) => name !== 'config.yaml');
  for (const kept of [[], names]) {
    const copy = { ...recipe, output: join(temporaryFolder(), 'run') };
    mkdirSync(copy.output);
    for (const name of kept) cpSync(join(recipe.output, name), join(copy.output, name));
    writeFileSync(join(copy.output, '.config.yaml.tmp'), 'half a conf');
    const run = open(copy);
    expect(run.resumed).toBe(false);
    expect(readRunConfig(copy.output)?.recipe).toEqual(copy);
  }
});

test('openRun() refuses a folder of something else and leaves it alone', () => {
  const recipe = newRecipe();
  mkdirSync(recipe.output, { recursive: true });
  writeFileSync(join(recipe.output, 'thesis.tex'), 'x');
  expect(() => open(recipe)).toThrow(
    expect.objectContaining({ code: 'RUN_FOREIGN', message: expect.stringContaining('"thesis.tex"') }),
  );
  expect(readdirSync(recipe.output)).toEqual(['thesis.tex']);
});

test('openRun() with an output that is a file says so', () => {
  const recipe = newRecipe();
  mkdirSync(join(recipe.output, '..'), { recursive: true });
  writeFileSync(recipe.output, 'x');
  expect(() => open(recipe)).toThrow(expect.objectContaining({ name: 'FileError' }));
});

test.each([
  ['a newer format', { formatVersion: 1000 }, 'FORMAT_NEWER'],
  ['no format version', { recipe: {} }, 'RUN_DAMAGED'],
  ['no recipe', { formatVersion: 1, identity: { a: 1 }, environment: { a: 1 }, continuedIn: [] }, 'RUN_DAMAGED'],
  ['a list of nothing', [], 'RUN_DAMAGED'],
])('openRun() refuses a config.yaml with %s and leaves it as it is', (_, config, code) => {
  const recipe = newRecipe();
  mkdirSync(recipe.output, { recursive: true });
  writeFileSync(join(recipe.output, 'config.yaml'), stringify(config));
  expect(() => open(recipe)).toThrow(expect.objectContaining({ name: 'RunError', code }));
  expect(readdirSync(recipe.output)).toEqual(['config.yaml']);
});

test('openRun() refuses a config.yaml cut anywhere, and a damaged ledger, and gives the lock back', () => {
  const recipe = newRecipe();
  open(recipe).close();
  const file = join(recipe.output, 'config.yaml');
  const whole = readFileSync(file, 'utf8');
  for (const share of [0, 0.1, 0.3, 0.5, 0.7, 0.9]) {
    writeFileSync(file, whole.slice(0, Math.floor(whole.length * share)));
    expect(() => open(recipe), `${share}`).toThrow(expect.objectContaining({ name: 'RunError' }));
  }
  writeFileSync(file, whole);
  writeFileSync(join(recipe.output, 'run.db'), 'this is no database, whatever its name says it may be');
  expect(() => open(recipe)).toThrow(expect.objectContaining({ code: 'LEDGER_DAMAGED' }));
  expect(existsSync(join(recipe.output, 'run.lock'))).toBe(false);
});

test('differences() names fields by their path and compares lists as wholes', () => {
  expect(differences({ a: 1, b: { c: [1, 2], d: 3 } }, { a: 1, b: { c: [1, 3] }, e: null })).toEqual([
    { field: 'b.c', old: [1, 2], new: [1, 3] },
    { field: 'b.d', old: 3, new: undefined },
    { field: 'e', old: undefined, new: null },
  ]);
  expect(differences({ a: [{ b: 1 }] }, { a: [{ b: 1 }] })).toEqual([]);
});
