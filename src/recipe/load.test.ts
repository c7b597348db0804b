import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SelmError } from '../errors.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadRecipe, parseRecipe } from './load.ts';
import { type Recipe, recipeJsonSchema } from './schema.ts';

const minimal = `name: first
seed: 42
model: ../model
data:
  train: rows.jsonl
ranker:
  kind: function
  module: reward.ts
objective:
  preference: { kind: dpo }
  exploration: { kind: selm, alpha: 1e-3 }
training:
  learningRate: 5e-7
`;

/** Writes a recipe into a folder `recipes` of its own and reads it. */
function load(text: string, overrides: string[] = []): Recipe {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'recipes'));
  writeFileSync(join(folder, 'recipes/recipe.yaml'), text);
  return loadRecipe('recipes/recipe.yaml', { overrides, workingDirectory: folder });
}

/** Message of the error that `body` throws, without the path of the recipe. */
function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof SelmError) return `${error.code} ${error.message}`.replaceAll(/recipe "[^"]*"/g, 'recipe');
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('loadRecipe() resolves a minimal recipe with the defaults of the paper', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'recipes'));
  writeFileSync(join(folder, 'recipes/recipe.yaml'), minimal);
  expect(loadRecipe('recipes/recipe.yaml', { workingDirectory: folder })).toEqual({
    name: 'first',
    output: join(folder, 'runs/first'),
    seed: 42,
    model: join(folder, 'model'),
    device: 'cpu',
    threads: null,
    track: [],
    sft: null,
    data: {
      train: [join(folder, 'recipes/rows.jsonl')],
      limit: null,
      columns: {},
      shares: null,
      counts: null,
      license: null,
      allowLicenses: null,
      onBadRow: 'stop',
    },
    text: { rendering: 'clean', prompts: null, maxLength: 1024, maxPromptLength: 512 },
    iterations: 3,
    slices: { count: 3, size: null, share: null, reuse: 'never' },
    warmStart: 'none',
    reference: 'previous',
    update: 'best-and-worst',
    minMargin: null,
    pairWeights: 'equal',
    labels: 'hard',
    accumulate: false,
    sampler: { kind: 'own' },
    sampling: {
      samples: 1,
      referenceSamples: 0,
      temperature: 0,
      partnerTemperature: null,
      topP: 1,
      topK: 0,
      maxNewTokens: 1024,
      batchSize: 64,
      dtype: 'float32',
      stop: [],
    },
    ranker: {
      kind: 'function',
      module: join(folder, 'recipes/reward.ts'),
      timeoutMs: 60_000,
      concurrency: 8,
      onError: 'stop',
    },
    select: null,
    secondOpinion: null,
    rewardModel: null,
    objective: {
      preference: { kind: 'dpo', beta: 0.01, labelSmoothing: 0 },
      exploration: { kind: 'selm', alpha: 0.001 },
      chosenLikelihood: 0,
    },
    training: {
      batchSize: 128,
      dropLastStep: false,
      epochs: 1,
      learningRate: 5e-7,
      cycle: 'constant',
      schedule: 'cosine',
      warmupRatio: 0.1,
      weightDecay: 0,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEpsilon: 1e-8,
      maxGradNorm: 1,
      dtype: 'float32',
      microBatchTokens: 8192,
      activations: 'auto',
      sharding: 'none',
      states: 'float32',
      checkpointEverySteps: 50,
      adapter: { kind: 'none' },
    },
    evaluate: {
      prompts: null,
      holdOut: 0,
      columns: null,
      limit: null,
      samples: 1,
      temperature: 0.7,
      maxNewTokens: 1024,
      title: 'first',
      explorationPrompts: 64,
      greedy: false,
      benchmarks: null,
      judge: null,
      alpaca: null,
      mtBench: null,
      keepBest: null,
      stopOnRegression: null,
      twin: false,
    },
  });
});

test('loadRecipe() resolves what depends on other settings', () => {
  const recipe = load(
    `${minimal}output: elsewhere\nwarmStart: dpo\niterations: 2\nsampling: { maxNewTokens: 64 }\nevaluate: { prompts: held-out.jsonl, title: Ours }\n`,
  );
  expect(recipe.slices.count).toBe(3);
  expect(recipe.evaluate).toMatchObject({ maxNewTokens: 64, title: 'Ours' });
  expect(recipe.evaluate.prompts).toMatch(/\/recipes\/held-out\.jsonl$/);
  expect(recipe.output).toMatch(/elsewhere$/);
  expect(recipe.output).not.toContain('recipes');
});

test('loadRecipe() reads every way YAML writes small numbers', () => {
  for (const text of ['1e-5', '1.0e-5', '1E-5', '.00001', '0.00001', '1e-05']) {
    expect(load(minimal.replace('5e-7', text)).training.learningRate).toBe(1e-5);
  }
});

test('loadRecipe() reads lists of files and of numbers', () => {
  const recipe = load(
    minimal.replace('rows.jsonl', '[a.jsonl, /data/b.jsonl]').replace('alpha: 1e-3', 'alpha: [1e-3, 1e-4, 0]') +
      '  cycle: [5e-7, 3e-7, 1e-7]\n',
  );
  expect(recipe.data.train[0]).toMatch(/\/recipes\/a\.jsonl$/);
  expect(recipe.data.train[1]).toBe('/data/b.jsonl');
  expect(recipe.objective.exploration).toEqual({ kind: 'selm', alpha: [1e-3, 1e-4, 0] });
  expect(recipe.training.cycle).toEqual([5e-7, 3e-7, 1e-7]);
});

const edit = (from: string, to: string) => minimal.replace(from, to);

test.each([
  [
    'a key in snake case',
    edit('learningRate:', 'learning_rate:'),
    'line 13: training.learning_rate is unknown: did you mean "learningRate"',
  ],
  ['a misspelt key', `${minimal}iteratoins: 2\n`, 'line 14: iteratoins is unknown: did you mean "iterations"'],
  [
    'a key of another section',
    `${minimal}beta: 0.1\n`,
    'line 14: beta is unknown here: did you mean "objective.preference.beta"',
  ],
  [
    'a key like nothing known',
    `${minimal}  wombat: 1\n`,
    'line 14: training.wombat is unknown: allowed are batchSize, epochs',
  ],
  [
    'label smoothing beside another loss',
    edit('kind: dpo', 'kind: ipo, labelSmoothing: 0.1'),
    'line 10: objective.preference.labelSmoothing is only for kind dpo, this is "ipo": remove it',
  ],
  [
    'alpha without exploration',
    edit('kind: selm', 'kind: none'),
    'line 11: objective.exploration.alpha is for every kind but none: remove it',
  ],
  [
    'a number that is a text',
    edit('5e-7', 'fast'),
    'line 13: training.learningRate is "fast": allowed is a number above 0',
  ],
  ['a quoted number', edit('5e-7', '"5e-7"'), 'line 13: training.learningRate is "5e-7": allowed is a number above 0'],
  ['a rate of zero', edit('5e-7', '0'), 'line 13: training.learningRate is 0: allowed is a number above 0'],
  ['an infinite rate', edit('5e-7', '.inf'), 'line 13: training.learningRate is Infinity: allowed is a number above 0'],
  [
    'a rate that is no number',
    edit('5e-7', '.nan'),
    'line 13: training.learningRate is NaN: allowed is a number above 0',
  ],
  ['a fraction of a seed', edit('42', '4.2'), 'line 2: seed is 4.2: allowed is a whole number from 0'],
  ['a negative seed', edit('42', '-1'), 'line 2: seed is -1: allowed is a whole number from 0'],
  ['no model', edit('model: ../model\n', ''), 'model is missing: set it to a path to a model folder'],
  [
    'no module',
    edit('  module: reward.ts\n', ''),
    'line 6: ranker.module is missing: set it to a path to a .ts or .js module',
  ],
  [
    'an empty section',
    edit('\n  learningRate: 5e-7', ''),
    'line 12: training is null: allowed is a section with batchSize, epochs, learningRate ...',
  ],
  [
    'a missing section',
    edit('training:\n  learningRate: 5e-7\n', ''),
    'training is missing: set it to a section with batchSize, epochs, learningRate ...',
  ],
  [
    'an unknown loss',
    edit('dpo', 'orpo'),
    'line 10: objective.preference.kind is "orpo": allowed is one of dpo, dpop, ipo, hinge, sppo, kto',
  ],
  [
    'smoothing of one half',
    edit('kind: dpo', 'kind: dpo, labelSmoothing: 0.5'),
    'objective.preference.labelSmoothing is 0.5: allowed is a number from 0 and below 0.5',
  ],
  [
    'a wrong item of a list',
    edit('rows.jsonl', '[rows.jsonl, 3]'),
    'line 5: data.train is ["rows.jsonl",3]: allowed is a path or a list of paths',
  ],
  ['an empty list of files', edit('rows.jsonl', '[]'), 'line 5: data.train is []: allowed is a list of paths'],
  [
    'a map where a list may be',
    edit('rows.jsonl', '{ a: 1 }'),
    'line 5: data.train is a section: allowed is a path or a list of paths',
  ],
  [
    'a list of rates that is not one each iteration',
    `${minimal}  cycle: [5e-7]\n`,
    'line 14: training.cycle lists 1 learning rates for 3 iterations: give one each iteration',
  ],
  [
    'a list of rates beside another rate',
    `${minimal}  cycle: [1e-7, 1e-7, 1e-7]\n`,
    'line 14: training.cycle begins with 1e-7 but training.learningRate is 5e-7: make them equal',
  ],
  [
    'a list of alphas that is not one each iteration',
    edit('1e-3', '[1e-3]'),
    'line 11: objective.exploration.alpha lists 1 values for 3 iterations',
  ],
  [
    'half a pass',
    `${minimal}  epochs: [2, 1, 0.5]\n`,
    'training.epochs is [2,1,0.5]: allowed is a whole number from 1, or a list of them',
  ],
  [
    'greedy samples that would be equal',
    `${minimal}sampling: { samples: 4 }\n`,
    'line 14: sampling.samples is 4 at temperature 0, which gives the same response 4 times',
  ],
  [
    'greedy samples in the evaluation',
    `${minimal}evaluate: { samples: 2, temperature: 0 }\n`,
    'evaluate.samples is 2 at temperature 0',
  ],
  [
    'prompts as long as everything',
    `${minimal}text: { maxLength: 512 }\n`,
    'text.maxPromptLength is 512, which leaves no room for a response: allowed is below text.maxLength (512)',
  ],
  [
    'the best by held-out rewards without held-out prompts',
    `${minimal}evaluate: { keepBest: win-rate }\n`,
    'evaluate.keepBest is win-rate, and there are no held-out prompts: set evaluate.prompts or evaluate.holdOut',
  ],
  [
    'a measure that nothing measures',
    `${minimal}evaluate: { benchmarks: { on: [hellaswag] }, stopOnRegression: { measure: arc_challenge } }\n`,
    'evaluate.stopOnRegression.measure is arc_challenge, which is not measured: allowed are reward, win-rate and what evaluate.benchmarks.on names (hellaswag)',
  ],
  [
    'held-out prompts from two places',
    `${minimal}evaluate: { prompts: held-out.jsonl, holdOut: 8 }\n`,
    'evaluate.holdOut is 8, and evaluate.prompts is set: set it to 0, or evaluate.prompts to null',
  ],
  [
    'fewer slices than iterations',
    `${minimal}slices: { count: 2 }\n`,
    'slices.count is 2, too few for 3 iterations: set it to 3 or more, or slices.reuse to cycle',
  ],
  [
    'slices by size and by share',
    `${minimal}slices: { size: 100, share: 0.25 }\n`,
    'slices.share is 0.25 and slices.size is 100: set one of them to null',
  ],
  [
    'more than all of the rows',
    `${minimal}slices: { share: 0.5 }\n`,
    'slices.share is 0.5, and 3 slices of it are more than all rows: set it to 1/3 or less, or slices.reuse to cycle',
  ],
  [
    'a share in percent',
    `${minimal}slices: { share: 25 }\n`,
    'slices.share is 25: allowed is a number above 0 and up to 1',
  ],
  [
    'fewer slices than iterations and warm start',
    `${minimal}slices: { count: 3 }\nwarmStart: dpo\n`,
    'too few for 3 iterations and the warm start: set it to 4 or more',
  ],
  [
    'a twin of a run without exploration',
    `${edit('alpha: 1e-3', 'alpha: 0')}evaluate: { twin: true }\n`,
    'evaluate.twin is true but exploration is off',
  ],
  [
    'a twin of a run with no exploration at all',
    `${edit('selm, alpha: 1e-3', 'none')}evaluate: { twin: true }\n`,
    'evaluate.twin is true but exploration is off',
  ],
  [
    'a twin of a run whose alphas are zero',
    `${edit('1e-3', '[0, 0, 0]')}evaluate: { twin: true }\n`,
    'evaluate.twin is true but exploration is off',
  ],
  [
    'a measure by a judge without a judge',
    `${minimal}evaluate: { alpaca: {}, mtBench: {} }\n`,
    'evaluate.judge is missing, and evaluate.alpaca and evaluate.mtBench ask a judge: set it to a section with model, baseUrl',
  ],
  [
    'a judge where recipes had it before',
    `${minimal}evaluate: { alpaca: { judge: { model: m, baseUrl: http://localhost/v1, read: text } } }\n`,
    'evaluate.alpaca.judge is a section: allowed is the name of a model, or null; where the judge is and what it may use stands in evaluate.judge',
  ],
  [
    'bf16 masters of products in fp32',
    edit('learningRate: 5e-7', 'learningRate: 5e-7\n  states: bfloat16'),
    'training.states is bfloat16, and dtype is float32: set dtype to bfloat16, or states to float32',
  ],
  [
    'blocks that are freed and kept',
    edit('learningRate: 5e-7', 'learningRate: 5e-7\n  sharding: full\n  activations: keep'),
    'training.sharding is full, which frees a block after its forward pass, and activations is keep',
  ],
  [
    'a reward model for a rule that ranks nothing',
    `${edit('selm, alpha: 1e-3', 'none')}update: keep\nrewardModel: { labels: 8, alpha: 0, learningRate: 0.001 }\n`,
    'rewardModel is for rules that rank, and update is keep',
  ],
  [
    'a reward model beside a second opinion',
    `${minimal}rewardModel: { labels: 8, alpha: 0, learningRate: 0.001 }\nsecondOpinion: { ranker: { kind: function, module: b.ts } }\n`,
    'rewardModel and secondOpinion are both set: leave one of them out',
  ],
  [
    'optimism about a single sample',
    `${minimal}rewardModel: { labels: 8, alpha: 0.1, learningRate: 0.001 }\n`,
    'rewardModel.alpha is 0.1, and one sample has no relative maximum: set sampling.samples to 2 or more',
  ],
  [
    'a second opinion that is never asked',
    `${minimal}secondOpinion: { ranker: { kind: function, module: b.ts }, share: 0 }\n`,
    'secondOpinion.share is 0 and secondOpinion.doubtMargin is null, so the second ranker would never be asked',
  ],
  [
    'a second opinion where nothing is ranked',
    `${edit('selm, alpha: 1e-3', 'none')}update: keep\nsecondOpinion: { ranker: { kind: function, module: b.ts } }\n`,
    'secondOpinion is set, and update is keep, which ranks nothing',
  ],
  [
    'a selection where nothing is ranked',
    `${edit('selm, alpha: 1e-3', 'none')}update: keep\nselect: { budget: 8 }\n`,
    'select is set, and update is keep, which ranks nothing: set it to null',
  ],
  [
    'a selection by a doubt that the policy has not',
    `${minimal}select: { budget: 8, prompts: doubt }\n`,
    'select.prompts is doubt, which goes by how little is known, and select.beliefs is policy, which has no doubt: set select.beliefs to reward-model',
  ],
  [
    'a rule of doubt by beliefs without doubt',
    `${minimal}select: { answers: info-max }\n`,
    'select.answers is info-max, which goes by how little is known',
  ],
  [
    'a partner temperature without a partner',
    `${minimal}sampling: { partnerTemperature: 1.5 }\n`,
    'sampling.partnerTemperature is 1.5, and sampling.samples is 1, which leaves no partner',
  ],
  [
    'information without what describes answers',
    `${minimal}select: { answers: information, prompts: information }\n`,
    'select.prompts is information, which goes by how little is known',
  ],
  [
    'beliefs of another ranker that is not there',
    `${minimal}select: { budget: 8, prompts: small-gap, beliefs: otherwise }\n`,
    'select.beliefs is otherwise, and select.otherwise names no ranker: name one',
  ],
  [
    'two answers for a rule that needs all',
    `${minimal}update: replace\nselect: { answers: random }\n`,
    'select.answers is random, and update is replace, which needs the place of every answer',
  ],
  [
    'a selection and a second opinion that each name a second ranker',
    `${minimal}select: { budget: 8, otherwise: { kind: function, module: c.ts } }\nsecondOpinion: { ranker: { kind: function, module: b.ts } }\n`,
    'select.otherwise is set beside secondOpinion, and a run has one second ranker',
  ],
  [
    'a second opinion on what nothing leaves unasked',
    `${minimal}secondOpinion: { ranker: { kind: function, module: b.ts }, unasked: ranked }\n`,
    'secondOpinion.unasked is ranked, and select is null, so that the first ranker is asked about everything',
  ],
  [
    'a reward model that nobody says how many labels of',
    `${minimal}rewardModel: { alpha: 0, learningRate: 0.001 }\n`,
    'rewardModel.labels is missing, and select is null: say how many prompts the ranker labels',
  ],
  [
    'a reward model that is told its labels twice',
    `${minimal}select: { budget: 8 }\nrewardModel: { labels: 8, alpha: 0, learningRate: 0.001 }\n`,
    'rewardModel.labels is 8, and select says what the ranker labels: leave it out',
  ],
  [
    'another ranker for what a reward model ranks',
    `${minimal}select: { budget: 8, otherwise: { kind: function, module: b.ts } }\nrewardModel: { alpha: 0, learningRate: 0.001 }\n`,
    'select.otherwise is set, and rewardModel ranks what the ranker is not asked about',
  ],
  [
    'rounds in which nothing is learned',
    `${minimal}select: { budget: 8, prompts: small-gap, rounds: 4 }\n`,
    'select.rounds is 4, and answers teach nothing that decides what is asked: set it to 1',
  ],
  [
    'the budget that people had',
    edit('kind: function\n  module: reward.ts', 'kind: people\n  budget: 8'),
    'ranker.budget is select.budget, whatever ranks: move it there',
  ],
  [
    'soft labels where nothing is ranked',
    `${edit('selm, alpha: 1e-3', 'none')}update: keep\nlabels: soft\n`,
    'labels is soft, and update is keep, which ranks nothing: set it to hard',
  ],
  [
    'labels of single texts that nobody gives',
    edit('{ kind: dpo }', '{ kind: kto, examples: labels }').replace('selm, alpha: 1e-3', 'none'),
    'objective.preference.examples is labels, and ranker.kind is function: only people call a text good or bad; or set it to pairs',
  ],
  [
    'labels of single texts for a loss on pairs',
    edit('{ kind: dpo }', '{ kind: dpo, examples: labels }'),
    'objective.preference.examples is only for kind kto, this is "dpo": remove it',
  ],
  [
    'soft labels that would count twice',
    `${edit('kind: dpo', 'kind: sppo, beta: 0.1')}labels: soft\n`,
    "labels is soft, and sppo takes the ranker's probabilities already",
  ],
  [
    'a judge without address',
    edit('kind: function\n  module: reward.ts', 'kind: judge\n  model: m'),
    'line 6: ranker.baseUrl is missing: set it to a URL such as https://api.openai.com/v1',
  ],
  [
    'a setting of one way of asking in another',
    edit(
      'kind: function\n  module: reward.ts',
      'kind: judge\n  model: m\n  baseUrl: http://x/v1\n  ask: { kind: rating, orders: both }',
    ),
    'ranker.ask.orders is unknown',
  ],
  ['a name that is a path', edit('first', '../first'), 'line 1: name is "../first": allowed is up to 64 of a-z'],
  ['a long value', edit('first', 'x'.repeat(200)), `line 1: name is "${'x'.repeat(76)}...: allowed is`],
  ['a list instead of a map', '- a\n', 'the recipe is ["a"]: allowed is a map of settings'],
])('loadRecipe() refuses %s', (_, text, expected) => {
  const message = messageOf(() => load(text));
  expect(message).toContain('RECIPE_INVALID Cannot use recipe: ');
  expect(message).toContain(expected);
});

test('loadRecipe() lists every problem at once, each with its line', () => {
  const message = messageOf(() => load(`${minimal.replace('42', 'x')}  epoch: 2\n`));
  expect(message).toBe(
    'RECIPE_INVALID Cannot use recipe: it has 2 problems:\n' +
      '  line 2: seed is "x": allowed is a whole number from 0\n' +
      '  line 14: training.epoch is unknown: did you mean "epochs"',
  );
});

test('loadRecipe() accepts what only looks impossible', () => {
  load(`${minimal}slices: { count: 1, reuse: cycle }\n`);
  load(`${minimal}  cycle: [1e-7, 1e-7, 1e-7]\nwarmStart: dpo\n`);
  load(`${minimal}sampling: { samples: 4, temperature: 0.7 }\nevaluate: { twin: true }\n`);
  load(`${edit('1e-3', '[0, 1e-3, 0]')}evaluate: { twin: true }\n`);
  load(edit('dpo', 'hinge'));
});

test.each([
  ['broken syntax', 'a: [1\n', 'line 2:'],
  ['a key twice', 'name: a\nseed: 1\nname: b\n', 'line 3: Map keys must be unique'],
  ['an unknown tag', 'name: !!js/function x\n', 'line 1: Unresolved tag'],
  ['two documents', 'name: a\n---\nname: b\n', 'multiple documents'],
  ['nothing', '', 'it is empty: start with'],
  ['comments only', '# todo\n', 'it is empty'],
  [
    'an alias bomb',
    `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: [${'*c,'.repeat(10)}]\n`,
    'Excessive alias count',
  ],
])('loadRecipe() refuses YAML with %s', (_, text, expected) => {
  const message = messageOf(() => load(text));
  expect(message).toContain('RECIPE_SYNTAX Cannot read recipe: ');
  expect(message).toContain(expected);
});

test('loadRecipe() refuses a file that is no recipe by its size, and names one that is missing', () => {
  expect(messageOf(() => load(`#${'x'.repeat(1_000_000)}`))).toContain('RECIPE_TOO_LARGE');
  expect(() => loadRecipe('/missing/recipe.yaml')).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }));
});

test('loadRecipe() puts overrides above the file, as YAML values, and makes sections that are not there', () => {
  const recipe = load(minimal, [
    'training.learningRate=1e-6',
    'sampling.temperature=0.7',
    'sampling.stop=["END", "a=b"]',
    'data.limit=null',
    'name=second',
    'objective.exploration.alpha=[1, 2, 3]',
  ]);
  expect(recipe).toMatchObject({
    name: 'second',
    training: { learningRate: 1e-6 },
    sampling: { temperature: 0.7, stop: ['END', 'a=b'] },
    data: { limit: null },
    objective: { exploration: { alpha: [1, 2, 3] } },
  });
});

test('loadRecipe() resolves paths of overrides where the command was started, those of the file beside the file', () => {
  const recipe = load(minimal, ['model=mine']);
  expect(recipe.model).toMatch(/^(?!.*recipes).*\/mine$/);
  expect(recipe.ranker).toMatchObject({ module: expect.stringMatching(/recipes\/reward\.ts$/) });
});

test.each([
  [
    'training.learningRate=fast',
    'RECIPE_INVALID Cannot use recipe: --set training.learningRate=fast: training.learningRate is "fast"',
  ],
  [
    'training.learning_rate=1',
    '--set training.learning_rate=1: training.learning_rate is unknown: did you mean "learningRate"',
  ],
  ['objective.preference={kind: x}', '--set objective.preference={kind: x}: objective.preference.kind is "x"'],
  ['seed.deep.down=1', '--set seed.deep.down=1: seed is a section: allowed is a whole number'],
  ['training', 'OVERRIDE_SYNTAX Cannot use --set "training": allowed is key.path=value'],
  ['=3', 'OVERRIDE_SYNTAX'],
  ['a..b=3', 'OVERRIDE_SYNTAX'],
  ['__proto__.polluted=1', 'OVERRIDE_SYNTAX'],
  ['seed=[1', 'OVERRIDE_SYNTAX Cannot use --set "seed=[1": the value is not YAML: quote it'],
])('loadRecipe() refuses --set %s', (override, expected) => {
  expect(messageOf(() => load(minimal, [override]))).toContain(expected);
});

test('loadRecipe() refuses overrides on a file that is no map, without touching anything', () => {
  expect(messageOf(() => load('just a text\n', ['seed=1']))).toContain(
    'the recipe is "just a text": allowed is a map of settings',
  );
  expect(messageOf(() => load(minimal, ['constructor.prototype.polluted=1']))).toContain('constructor is unknown');
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('parseRecipe() takes a value from code, with paths relative to a folder of choice', () => {
  const value = {
    name: 'x',
    seed: 0,
    model: 'm',
    data: { train: ['d'] },
    ranker: { kind: 'function', module: 'r.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    training: { learningRate: 1 },
  };
  expect(parseRecipe(value, { directory: '/d', workingDirectory: '/w' })).toMatchObject({
    model: '/d/m',
    data: { train: ['/d/d'] },
    output: '/w/runs/x',
  });
  expect(parseRecipe(value, { workingDirectory: '/w' }).model).toBe('/w/m');
  expect(() => parseRecipe({ ...value, model: undefined })).toThrow('Cannot use this recipe: model is missing');
  expect(parseRecipe({ ...value, seed: undefined }).seed).toBe(42);
  expect(() => parseRecipe(undefined)).toThrow('the recipe is missing: set it to a map of settings');
});

test('recipeJsonSchema() describes settings and closes every section to unknown keys', () => {
  const schema = recipeJsonSchema();
  expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
  expect(schema.required).toEqual(['name', 'model', 'data', 'ranker', 'objective', 'training']);
  const text = JSON.stringify(schema);
  expect(text.match(/"type":"object"/g)?.length).toBe(text.match(/"additionalProperties":false/g)?.length);
});

test('loadRecipe() resolves the files of both rankers, beside the recipe', () => {
  const judge = 'kind: judge\n  model: m\n  baseUrl: http://x/v1\n  ask: { kind: rating, prompt: judge.yaml }';
  const text = edit('kind: function\n  module: reward.ts', judge);
  const recipe = load(`${text}secondOpinion: { ranker: { kind: function, module: b.ts } }\n`);
  const beside = (name: string) => expect.stringMatching(new RegExp(`^/.*/recipes/${name}$`));
  expect(recipe.ranker).toMatchObject({ ask: { kind: 'rating', prompt: beside('judge.yaml') }, apiKeyVariable: null });
  expect(recipe.secondOpinion).toMatchObject({ share: 0.1, decides: 'first', ranker: { module: beside('b.ts') } });
});

test('loadRecipe() runs a command beside the recipe, or in the folder that it names', () => {
  const commandOf = (more: string) =>
    load(edit('kind: function\n  module: reward.ts', `kind: command\n  command: [python3, reward.py]${more}`)).ranker;
  expect(commandOf('')).toMatchObject({
    command: ['python3', 'reward.py'],
    folder: expect.stringMatching(/^\/.*\/recipes$/),
    gives: 'scores',
  });
  expect(commandOf('\n  folder: tools')).toMatchObject({ folder: expect.stringMatching(/\/recipes\/tools$/) });
});

test('loadRecipe() says that a recipe is a folder, and what is in it', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'my'));
  writeFileSync(join(folder, 'my', 'run.yaml'), minimal);
  expect(() => loadRecipe('my', { workingDirectory: folder })).toThrow(
    'Cannot read recipe "my": it is a folder: give a file in it: run.yaml',
  );
});

test('loadRecipe() never shows a value that may be a key', () => {
  const problem = (override: string): string => {
    try {
      load(minimal, [override]);
    } catch (error) {
      return String(error);
    }
    return '';
  };
  const judge = '{kind: judge, model: m, baseUrl: ';
  const key = problem(`ranker=${judge}"http://x/v1", apiKeyVariable: sk-secret}`);
  expect(key).toContain('ranker.apiKeyVariable is not usable (its value is not shown)');
  const url = problem(`ranker=${judge}"https://me:sk-secret@x/v1"}`);
  expect(url).toContain('ranker.baseUrl is not usable (its value is not shown)');
  for (const text of [key, url]) expect(text).not.toContain('sk-secret');
});
