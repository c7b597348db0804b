/** @file A change of every setting meets a run that has made everything, and one that has made nothing. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sha256 } from '../files/hash.ts';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { fieldAt } from '../recipe/keys.ts';
import { parseRecipe, parseSftRecipe } from '../recipe/load.ts';
import { type Recipe, recipeKeys, recipeSchema } from '../recipe/schema.ts';
import { sftRecipeKeys, sftRecipeSchema } from '../recipe/sft.ts';
import type { Effect } from './changes.ts';
import type { RankerSources } from './identity.ts';
import type { AnyRecipe } from './run-config.ts';
import { type OpenRunOptions, openRun, type Run } from './run-directory.ts';

const options = { libtorchVersion: '2.15.0', clock: () => 0 };

/** A folder with everything that the recipes below name. */
function project(): string {
  const folder = temporaryFolder();
  for (const model of ['model', 'ranker']) {
    mkdirSync(join(folder, model));
    writeFileSync(join(folder, model, 'config.json'), '{}');
    const tensor = { name: 'w', dtype: 'U8', shape: [4], bytes: Uint8Array.of(1, 2, 3, 4) } as const;
    writeSafetensors(join(folder, model, 'model.safetensors'), [tensor]);
  }
  for (const name of ['rows.jsonl', 'heldout.jsonl', 'reward.ts', 'prompt.yaml', 'chats.jsonl'])
    writeFileSync(join(folder, name), `${name}\n`);
  return folder;
}

const judge = { kind: 'judge', model: 'm', baseUrl: 'http://127.0.0.1:1/v1' };
const money = { limit: 1, promptPrice: 1, completionPrice: 1 };
const columns = { prompt: 'a', chosen: 'b', rejected: 'c', messages: 'd', completion: 'e', label: 'g', promptId: 'f' };
const optimised = { learningRate: 1e-6, adapter: { kind: 'lora' } };

const measuring = { model: 'm', baseUrl: judge.baseUrl, budget: { money } };

/** Recipes that have every setting between them. */
const RECIPES: Record<string, unknown>[] = [
  {},
  { ranker: { ...judge, ask: { kind: 'pairwise', prompt: 'prompt.yaml' }, budget: { money } } },
  { ranker: { kind: 'pairrm', model: 'ranker' }, training: optimised },
  { ranker: { kind: 'reward-model', model: 'ranker' } },
  { ranker: { kind: 'people', gold: { file: 'rows.jsonl' } } },
  { secondOpinion: { ranker: { kind: 'people', gold: { file: 'rows.jsonl' } } } },
  { secondOpinion: { ranker: { ...judge, ask: { kind: 'pairwise', prompt: 'prompt.yaml' }, budget: { money } } } },
  { secondOpinion: { ranker: { kind: 'function', module: 'reward.ts' } }, ranker: judge },
  { secondOpinion: { ranker: { kind: 'reward-model', model: 'ranker' } } },
  ...['dpo', 'dpop', 'sppo', 'kto'].map((kind) => ({
    objective: { preference: { kind }, exploration: { kind: 'none' } },
  })),
  ...[
    { ...judge, ask: { kind: 'pairwise', prompt: 'prompt.yaml' }, budget: { money } },
    { kind: 'function', module: 'reward.ts' },
    { kind: 'reward-model', model: 'ranker' },
    { kind: 'command', command: ['python3', 'reward.py'] },
    { kind: 'people', gold: { file: 'rows.jsonl' } },
  ].map((otherwise) => ({ select: { budget: 1, otherwise } })),
  { rewardModel: { labels: 1, alpha: 0, learningRate: 1 } },
  { sft: { data: { train: 'chats.jsonl' }, training: optimised } },
  { data: { train: 'rows.jsonl', columns }, evaluate: { prompts: 'heldout.jsonl', columns } },
  {
    evaluate: { judge: measuring, alpaca: { reference: 'rows.jsonl' } },
  },
  { evaluate: { judge: measuring, mtBench: {} } },
  { evaluate: { prompts: 'heldout.jsonl', stopOnRegression: { measure: 'reward' } } },
  { evaluate: { prompts: 'heldout.jsonl', benchmarks: { on: ['arc_challenge'], data: 'rows' } } },
  { ranker: { kind: 'command', command: ['python3', 'reward.py'] } },
  { secondOpinion: { ranker: { kind: 'command', command: ['python3', 'reward.py'] } } },
  { sampler: { kind: 'vllm', url: 'http://127.0.0.1:8000' } },
  { ranker: { kind: 'people' } },
  { secondOpinion: { ranker: { kind: 'people' } } },
];

function recipeIn(folder: string, changes: Record<string, unknown> = {}): Recipe {
  const value = {
    name: 'first',
    model: 'model',
    data: { train: 'rows.jsonl' },
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'selm', alpha: 0.001 } },
    training: { learningRate: 5e-7 },
    evaluate: { prompts: 'heldout.jsonl' },
    ...changes,
  };
  return parseRecipe(value, { workingDirectory: folder });
}

const SFT_RECIPES: Record<string, unknown>[] = [{}, { objective: { kind: 'kto' } }];

function sftRecipeIn(folder: string, changes: Record<string, unknown> = {}): AnyRecipe {
  const data = { train: 'chats.jsonl', columns };
  const value = { name: 'first', model: 'model', data, training: optimised, ...changes };
  return parseSftRecipe(value, { workingDirectory: folder });
}

/** What a ranker of a recipe is made of, as it would find out when it is opened. */
function rankersOf(recipe: AnyRecipe): RankerSources {
  const module = 'ranker' in recipe && recipe.ranker.kind === 'function' ? recipe.ranker.module : null;
  const ranker = module === null ? [] : [{ name: 'module', sha256: sha256(readFileSync(module)) }];
  return { ranker, secondRanker: [] };
}

function open(recipe: AnyRecipe, changes: Partial<OpenRunOptions<AnyRecipe>> = {}): Run<AnyRecipe> {
  const run = openRun(recipe, { ...options, rankers: rankersOf(recipe), ...changes });
  onTestFinished(() => run.close());
  return run;
}

/** Gives a run an iteration that is finished and one that is in training; returns how many stages have begun. */
function work(recipe: AnyRecipe): number {
  using run = open(recipe);
  const { ledger } = run;
  if (!('ranker' in recipe)) ledger.stages.begin(0, 'sft');
  else {
    for (const iteration of [1, 2]) makeIteration(run, iteration, iteration === 1 ? 'finished' : 'in training');
    for (const iteration of [0, 1]) {
      ledger.stages.begin(iteration, 'evaluate');
      ledger.stages.finish(iteration, 'evaluate');
    }
  }
  return ledger.stages.all().length;
}

function makeIteration({ ledger }: Run<AnyRecipe>, iteration: number, state: 'finished' | 'in training'): void {
  for (const stage of ['sample', 'rank', 'pair', 'reference']) {
    ledger.stages.begin(iteration, stage);
    ledger.stages.finish(iteration, stage);
  }
  const about = { iteration, promptId: 'p', text: 'Ho' };
  const sampled = {
    sampleIndex: 0,
    tokenIds: Int32Array.of(1),
    finish: 'stop',
    logProb: -1,
    samplerSha256: 'a',
  } as const;
  ledger.putResponses([{ ...about, ...sampled, seed: 42 }]);
  ledger.putRanking({ ...about, rankerId: 'r', candidates: [], scores: [], order: [], ties: [] });
  const from = { kind: 'response', sampleIndex: 0 } as const;
  const texts = { chosen: 'a', rejected: 'b', response: 'a', chosenFrom: from, rejectedFrom: from };
  ledger.putPairs([{ ...about, ...texts, pairId: `pair ${iteration}` }]);
  ledger.stages.begin(iteration, 'train');
  if (state === 'finished') ledger.stages.finish(iteration, 'train');
}

/** A copy of a recipe with another value at a path; null where it has no such path. */
function changedAt(recipe: AnyRecipe, path: string): AnyRecipe | null {
  const copy: AnyRecipe = structuredClone(recipe);
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let section: unknown = copy;
  for (const key of keys) section = (section as Record<string, unknown> | null | undefined)?.[key];
  if (typeof section !== 'object' || section === null || !(last in section)) return null;
  const values = section as Record<string, unknown>;
  values[last] = otherValue(values[last]);
  return values[last] === undefined ? null : copy;
}

/** A value of the same type. Nothing is checked again: what counts is that it differs. */
function otherValue(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'string') return `${value}x`;
  if (value === null) return 1;
  return Array.isArray(value) ? [...value, 'x'] : undefined;
}

const EFFECTS: Record<string, Effect['kind']> = {
  free: 'none',
  warn: 'later',
  extend: 'none',
  measure: 'measured-again',
  train: 'done-again',
  pair: 'done-again',
  rank: 'done-again',
  select: 'done-again',
  sample: 'done-again',
  never: 'refused',
};

test.each([
  ['a run', recipeSchema, recipeKeys(), RECIPES.map((changes) => (folder: string) => recipeIn(folder, changes))],
  [
    'a fine-tuning',
    sftRecipeSchema,
    sftRecipeKeys(),
    SFT_RECIPES.map((changes) => (folder: string) => sftRecipeIn(folder, changes)),
  ],
])('a change of every setting of %s in progress comes to what its field says', (_, schema, keys, makers) => {
  const folder = project();
  const recipes = makers.map((make, index) => ({ ...make(folder), output: join(folder, `run-${index}`) }));
  const stagesOf = new Map(recipes.map((recipe) => [recipe, work(recipe)]));
  const tried: string[] = [];
  let copies = 0;
  for (const key of keys) {
    const field = fieldAt(schema, key);
    if (field?.isSection !== false || key.startsWith('sft.')) continue;
    const recipe = recipes.find((each) => changedAt(each, key) !== null);
    const changed = recipe === undefined ? null : changedAt(recipe, key);
    if (recipe === undefined || changed === null) continue;
    tried.push(key);
    // A copy of the run goes on with the change: its place is free to change.
    if (key !== 'output') changed.output = join(folder, `copy-${copies++}`);
    cpSync(recipe.output, changed.output, { recursive: true });
    const own = fieldAt(schema, key, recipe);
    const expected = own?.comparedByContent === true ? null : EFFECTS[own?.change ?? ''];
    // The content behind a path is the same: that it is somewhere else is nothing.
    const reopen = (acceptChanges: boolean): Run<AnyRecipe> =>
      openRun(changed, { ...options, rankers: rankersOf(recipe), local: recipe, acceptChanges });
    if (expected === 'refused' || expected === 'done-again') {
      expect(() => reopen(false), key).toThrow(expect.objectContaining({ code: 'RUN_DIFFERS' }));
      if (expected === 'refused') {
        expect(() => reopen(true), key).toThrow(expect.objectContaining({ code: 'RUN_DIFFERS' }));
        continue;
      }
    }
    using run = reopen(expected === 'done-again');
    const effect = run.changes.find((change) => change.field === key)?.effect.kind ?? null;
    expect(effect, key).toBe(expected);
    const isTakenBack = expected === 'done-again' || expected === 'measured-again';
    expect(run.ledger.stages.all().length < (stagesOf.get(recipe) ?? 0), `${key} takes stages back`).toBe(isTakenBack);
  }
  expect(keys.filter((key) => fieldAt(schema, key)?.isSection === false && !key.startsWith('sft.'))).toEqual(tried);
});

test('where nothing was made yet, any setting may change, and the run says so', () => {
  const folder = project();
  const recipe = recipeIn(folder);
  open(recipe).close();
  const run = open({ ...recipe, seed: 43, iterations: 1, text: { ...recipe.text, maxLength: 99 } });
  expect(run.changes.map(({ field, effect }) => [field, effect.kind])).toEqual([
    ['seed', 'unused'],
    ['text.maxLength', 'unused'],
    ['iterations', 'none'],
  ]);
  run.close();
  writeFileSync(join(folder, 'reward.ts'), 'mended\n');
  const mended = open(run.recipe);
  expect(mended.changes).toMatchObject([{ field: 'ranker', effect: { kind: 'unused' } }]);
  expect(mended.doneAgain).toBeNull();
});

test('a changed ranker ranks the unfinished iteration again, if the user accepts it; responses and finished iterations stay', () => {
  const folder = project();
  const recipe = recipeIn(folder);
  work(recipe);
  writeFileSync(join(folder, 'reward.ts'), 'mended\n');
  const sentence =
    'iteration 1 stays as made; rankings, pairs and training of iteration 2 are done again, and its responses are kept; the models that were measured are measured again';
  expect(() => open(recipe)).toThrow(
    `Go on all the same with --accept-changes: ${sentence}. Or set the old values back`,
  );
  const run = open(recipe, { acceptChanges: true });
  expect(run.doneAgain).toBe(sentence);
  const { ledger } = run;
  expect(ledger.stages.all().map(({ iteration, stage }) => `${iteration} ${stage}`)).toEqual(
    expect.arrayContaining(['1 sample', '1 rank', '1 pair', '1 reference', '1 train', '2 sample']),
  );
  expect(ledger.stages.all()).toHaveLength(6);
  expect(
    [ledger.responses(2), ledger.rankings(2), ledger.pairs(2), ledger.pairs(1)].map((rows) => rows.length),
  ).toEqual([1, 1, 0, 1]);
  // The stage counts its attempts on, so that measurements of before stay apart.
  expect(ledger.stages.begin(2, 'train')).toBe(2);
  run.close();
  expect(open(recipe).changes).toEqual([]);
});

const three = { count: 3, reuse: 'cycle' };

test.each([
  ['go up', { slices: three }, { slices: three, iterations: 5 }, null],
  [
    'go below those that have begun',
    {},
    { slices: three, iterations: 1 },
    'iterations: 3 -> 1 (iteration 2 has begun)',
  ],
  ['cut other slices', {}, { iterations: 4 }, 'set slices.count to 3, and slices.reuse to cycle'],
  ['add slices of a size of their own', { slices: { size: 1 } }, { slices: { size: 1 }, iterations: 4 }, null],
  [
    'spread learning rates anew',
    { cycle: 'linear' },
    { slices: three, cycle: 'linear', iterations: 4 },
    'training.cycle is linear',
  ],
  [
    'make a list of learning rates longer',
    { cycle: [5e-7, 5e-7, 1e-7] },
    { slices: three, cycle: [5e-7, 5e-7, 1e-7, 1e-7], iterations: 4 },
    null,
  ],
  ['change a learning rate', { cycle: [5e-7, 4e-7, 1e-7] }, { cycle: [5e-7, 3e-7, 1e-7] }, 'training.cycle: '],
])('iterations that %s: allowed as long as what is done stays as it is', (_, before, after, refusal) => {
  const folder = project();
  const recipeOf = ({ cycle = 'constant', ...rest }: Record<string, unknown>): AnyRecipe =>
    recipeIn(folder, { training: { learningRate: 5e-7, cycle }, ...rest });
  work(recipeOf(before));
  const asked = recipeOf(after);
  if (refusal === null) expect(open(asked).changes.map(({ effect }) => effect.kind)).not.toContain('later');
  else expect(() => open(asked)).toThrow(refusal);
});
