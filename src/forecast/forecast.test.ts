/** @file Dry runs: the published recipes against the table of their authors' runs, costs against sums by hand. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeForecast } from '../cli/dry-run.ts';
import { packageRoot } from '../files/package-root.ts';
import { loadRecipe } from '../recipe/load.ts';
import type { RecipeFacts } from './facts.ts';
import { type Forecast, forecast } from './forecast.ts';
import type { WorkRates } from './time.ts';

const RATES: WorkRates = {
  train: 1e12,
  score: 1e12,
  prefill: 4e11,
  decode: 1e11,
  update: 1e9,
  device: 'cpu',
  threads: 2,
  processors: 4,
};

async function dryRun(
  name: string,
  { overrides = [], rows = null, ...here }: { overrides?: string[]; rows?: number | null; cardBytes?: number } = {},
): Promise<Forecast & { text: string; output: string }> {
  const recipe = loadRecipe(join(packageRoot, 'recipes', `${name}.yaml`), { overrides });
  const result = await forecast(recipe, { rows, ...here, rates: async () => RATES });
  return { ...result, text: describeForecast(recipe, result), output: recipe.output };
}

const slicesOf = ({ iterations }: Forecast): number[][] => iterations.map(({ slice }) => [slice.start, slice.end]);
const rateAt = ({ iterations }: Forecast, index: number, step: number): number =>
  iterations[index]?.rates.find((each) => each.step === step)?.learningRate ?? Number.NaN;
const expectRate = (actual: number, expected: number): void =>
  // The table gives four to seven digits.
  expect(Math.abs(actual - expected) / expected).toBeLessThan(1e-4);

describe('a dry run for a card', () => {
  const fitOf = async (overrides: string[], memoryBytes: number): Promise<string> => {
    const recipe = loadRecipe(join(packageRoot, 'recipes', 'llama-3-8b.yaml'), { overrides });
    const result = await forecast(recipe, { rows: 1000, cardBytes: memoryBytes, rates: async () => RATES });
    const lines = describeForecast(recipe, result, { card: { name: 'NVIDIA H100', memoryBytes }, says: null }).split(
      '\n',
    );
    return lines.find((line) => line.includes('NVIDIA H100')) ?? '';
  };

  it('says whether it fits, and what would: 8 billion weights fit 80 GiB with bf16 states', async () => {
    const common = ['training.dtype=bfloat16', 'sampling.dtype=bfloat16', 'training.activations=recompute'];
    const large = await fitOf(common, 80 * 2 ** 30);
    expect(large).toMatch(
      /^ {2}does not fit NVIDIA H100: 1\d\d\.\d GiB with 2\.0 GiB for CUDA itself, of 80\.0 GiB; smaller with/,
    );
    expect(large).toContain('training.states: bfloat16 (8 bytes a weight)');
    const small = await fitOf([...common, 'training.states=bfloat16'], 80 * 2 ** 30);
    expect(small).toMatch(/^ {2}fits NVIDIA H100: \d\d\.\d GiB/);
  });
});

describe('a dry run of the published recipes', () => {
  it('of Zephyr has the slices, steps and learning rates of the authors', async () => {
    const zephyr = await dryRun('zephyr-7b');
    expect(slicesOf(zephyr)).toEqual([
      [0, 15283],
      [15283, 30566],
      [30566, 45849],
      [45849, 61132],
    ]);
    for (const { pairs, schedule } of zephyr.iterations) {
      expect([pairs, schedule.totalSteps, schedule.warmupSteps]).toEqual([15283, 59, 6]);
    }
    expect(zephyr.iterations.map(({ schedule }) => schedule.learningRate)).toEqual([5e-7, 5e-7, 5e-7, 1e-7]);
    for (const iteration of [0, 1, 2]) {
      expect(rateAt(zephyr, iteration, 0)).toBe(0);
      expectRate(rateAt(zephyr, iteration, 1), 8.3333e-8);
      expect(rateAt(zephyr, iteration, 6)).toBe(5e-7);
      expectRate(rateAt(zephyr, iteration, 29), 3.014947e-7);
      expectRate(rateAt(zephyr, iteration, 58), 4.3907e-10);
    }
    // Nothing is sampled for the warm start; three candidates after it.
    expect(zephyr.iterations.map(({ responses, candidates }) => [responses, candidates])).toEqual([
      [0, 0],
      [15283, 3],
      [15283, 3],
      [15283, 3],
    ]);
  });

  it('passes over the pairs of an iteration as often as its place of a list says, the warm start as the first', async () => {
    const { iterations } = await dryRun('zephyr-7b', { overrides: ['training.epochs=[3, 2, 1]'] });
    expect(iterations.map(({ schedule }) => schedule.totalSteps)).toEqual([3 * 59, 3 * 59, 2 * 59, 59]);
  });

  it('reads the data once for recipes that agree in them', async () => {
    const known = new Map<string, RecipeFacts>();
    const planned = async (override: string): Promise<Forecast> => {
      const recipe = loadRecipe(join(packageRoot, 'recipes', 'zephyr-7b.yaml'), { overrides: [override] });
      return forecast(recipe, { rows: null, rates: async () => RATES, known });
    };
    const [first, second] = [await planned('training.batchSize=64'), await planned('training.batchSize=32')];
    expect(known.size).toBe(1);
    expect(second.iterations[0]?.schedule.totalSteps).toBeGreaterThan(first.iterations[0]?.schedule.totalSteps ?? 0);
    await planned('data.limit=1000');
    expect(known.size).toBe(2);
  });

  it('of people counts both texts of a comparison where labels of single texts are learned', async () => {
    const stepsWith = async (overrides: string[]): Promise<number[]> =>
      (await dryRun('people', { overrides })).iterations.map(({ schedule }) => schedule.totalSteps);
    const kto = ['objective.preference.kind=kto'];
    // 48 answers in batches of 8, twice.
    expect(await stepsWith(kto)).toEqual([12, 12, 12, 12]);
    expect(await stepsWith([...kto, 'objective.preference.examples=labels'])).toEqual([24, 24, 24, 24]);
  });

  it.each(['llama-3-8b', 'phi-3-mini'])('of %s has them too', async (name) => {
    const plan = await dryRun(name);
    expect(slicesOf(plan)).toEqual([
      [0, 20378],
      [20378, 40756],
      [40756, 61134],
    ]);
    for (const { schedule } of plan.iterations) expect([schedule.totalSteps, schedule.warmupSteps]).toEqual([159, 16]);
    expect(plan.iterations.map(({ schedule }) => schedule.learningRate)).toEqual([5e-7, 3e-7, 1e-7]);
  });

  it.each([
    ['zephyr-7b', 7_241_732_096],
    ['llama-3-8b', 8_030_261_248],
    ['phi-3-mini', 3_821_079_552],
  ])('of %s knows the size of its model: %d weights', async (name, parameters) => {
    expect((await dryRun(name)).cost?.parameters).toBe(parameters);
  });

  it('says what it prints, and writes nothing', async () => {
    const { text, output } = await dryRun('zephyr-7b', { overrides: ['name=never-run'] });
    expect(text).toContain('61,135 (the published size), with pairs; 3 are in no slice');
    expect(text).toMatch(/warm start +\[0:15283\] +0 +15,283 +59 +6 +5e-7/);
    expect(text).toContain('3: 0 0, 1 1.666667e-8, 6 1.000000e-7');
    expect(text).toContain('7,241,732,096 weights, its published sizes');
    expect(existsSync(output)).toBe(false);
  });

  it('sums the memory of full training in bfloat16: 2 + 4 + 4 + 8 bytes a weight, activations, logits', async () => {
    const { cost } = await dryRun('zephyr-7b');
    const parts = cost?.memory.training.map(({ bytes }) => bytes) ?? [];
    const weights = 7_241_732_096;
    // 8192 tokens: an input of 4096 numbers for each of 32 blocks, and one block's activations at a time.
    const inputs = 8192 * 4096 * 32 * 2;
    const block = 8192 * (4 * 4096 + 4 * 4096 + 3 * 14336) * 2;
    // As many rows of 32,000 logits as 96 MiB hold, and a copy.
    const logits = 2 * Math.floor((96 * 2 ** 20) / 64_000) * 64_000;
    expect(parts).toEqual([2 * weights, 4 * weights, 4 * weights, 8 * weights, inputs + block, logits]);
  });

  it('sizes logits, activations and prefill by the card that is here', async () => {
    const parts = async (cardBytes: number): Promise<unknown> => {
      const overrides = ['training.states=bfloat16', 'training.activations=auto', 'sampling.dtype=bfloat16'];
      const { cost } = await dryRun('zephyr-7b', { cardBytes, overrides });
      const { training = [], sampling = [] } = cost?.memory ?? {};
      return [training.find(({ what }) => what === 'logits')?.bytes, training.at(-2), sampling.at(-1)];
    };
    const block = 8192 * (4 * 4096 + 4 * 4096 + 3 * 14336) * 2;
    const what = 'activations of 8192 tokens';
    // A row of 32,000 logits in bf16 takes 64,000 bytes; a card's chunk has a 32nd of it, and 8,192 rows at most.
    const prefilled = { what: 'activations of 8192 prompt tokens', bytes: block };
    expect(await parts(640e9)).toEqual([2 * 8192 * 64_000, { what, bytes: 32 * block }, prefilled]);
    const small = await parts(10.24e9);
    expect(small).toEqual([2 * 5000 * 64_000, { what, bytes: 8192 * 4096 * 32 * 2 + block }, prefilled]);
  });
});

describe('a dry run', () => {
  it('counts rows and measures tokens where data and model are here', async () => {
    const { facts, iterations } = await dryRun('selm');
    expect(facts).toMatchObject({ rows: 384, hasPairs: true, tokens: { atMost: false } });
    expect(facts.tokens.prompt).toBeGreaterThan(10);
    expect(facts.tokens.response).toBeLessThan(110);
    expect(iterations.map(({ pairs }) => pairs)).toEqual([128, 128, 128]);
  });

  it('counts the pairs that a rule can give, and adds those of earlier iterations where they accumulate', async () => {
    const dno = await dryRun('dno');
    expect(dno.iterations[0]).toMatchObject({ responses: 3 * 128, candidates: 5, pairs: 10 * 128 });
    const xpo = await dryRun('xpo');
    expect(xpo.iterations.map(({ pairs }) => pairs)).toEqual([256, 512, 768]);
    const offline = await dryRun('offline-dpo');
    expect(offline.iterations.map(({ responses, pairs }) => [responses, pairs])).toEqual([[0, 384]]);
  });

  it('multiplies tokens by weights: forward once for the reference, three times for training, and updates by steps', async () => {
    const { cost, facts, iterations } = await dryRun('offline-dpo');
    const [only] = cost?.iterations ?? [];
    const { prompt, response } = facts.tokens;
    // stories260K: 5 blocks of 64 x 64 (q, o), 32 x 64 (k, v), 3 x 172 x 64; head 512 x 64; attention 4 x 5 x 64 a token.
    const block = 2 * 5 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 172 * 64);
    const tokens = prompt + 2 * response;
    const forward = tokens * (block + ((4 * 5 * 64) / 2) * (prompt + response)) + 2 * response * 2 * 512 * 64;
    const updates = ((iterations[0]?.schedule.totalSteps ?? 0) * 260_032) / 1e9;
    expect((only?.referenceSeconds ?? 0) / ((384 * forward) / 1e12)).toBeCloseTo(1, 10);
    expect((only?.trainSeconds ?? 0) / ((3 * 384 * forward) / 1e12 + updates)).toBeCloseTo(1, 10);
    expect(only?.sampleSeconds).toBe(0);
  });

  it('has every stage that computes in its time, and one total of all of it', async () => {
    const { cost, facts, text } = await dryRun('quickstart', {
      overrides: ['training.epochs=1', 'evaluate.twin=true'],
    });
    const [first] = cost?.iterations ?? [];
    expect(facts.heldOut).toBe(128);
    // 8 gradient pairs of two passes and 64 scorings, against 256 pairs forward and backward: 0.15 of the training at most.
    const share = (first?.exploreSeconds ?? 0) / (first?.trainSeconds ?? 1);
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThanOrEqual(0.15);
    expect(first?.evaluateSeconds).toBeGreaterThan(cost?.evaluateBaseSeconds ?? Number.NaN);
    // The twin does everything again.
    const once = cost?.iterations.reduce(
      (sum, each) =>
        sum +
        each.sampleSeconds +
        each.referenceSeconds +
        each.trainSeconds +
        each.exploreSeconds +
        each.evaluateSeconds,
      cost.evaluateBaseSeconds,
    );
    expect(cost?.totalSeconds).toBeCloseTo(2 * (once ?? Number.NaN), 8);
    expect(text).toMatch(/iteration +sample +reference +train +explore +evaluate\n/);
    expect(text).toMatch(
      /About \d.* in all, the alpha = 0 twin, which does the same again, included; without the ranker, saving/,
    );
  });

  it.each([
    ['the time of one run where both have processors of their own', 4, 1],
    ['twice the time of a run where both share them', 2, 2],
  ])('with a twin beside the run takes %s', async (_, processors, times) => {
    const totalOf = async (twin: string): Promise<number> => {
      const recipe = loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'), {
        overrides: [`evaluate.twin=${twin}`],
      });
      const { cost } = await forecast(recipe, {
        rows: null,
        rates: async () => ({ ...RATES, threads: 2, processors }),
      });
      return cost?.totalSeconds ?? Number.NaN;
    };
    expect((await totalOf('beside')) / (await totalOf('false'))).toBeCloseTo(times, 10);
  });

  it('has a reward model that is learned, and the fine-tuning that comes first', async () => {
    const learned = await dryRun('quickstart', {
      overrides: ['rewardModel={labels: 32, alpha: 0.1, learningRate: 0.001}', 'evaluate.twin=false'],
    });
    expect(learned.text).toMatch(/sample +reward model +reference/);
    const [first, second] = learned.cost?.iterations ?? [];
    // The comparisons of the first iteration are learned from again in the second.
    expect(second?.rewardModelSeconds).toBeGreaterThan(first?.rewardModelSeconds ?? Number.NaN);
    const sft = '{data: {train: sft/conversations.jsonl}, training: {learningRate: 0.001}}';
    const tuned = await dryRun('quickstart', { overrides: [`sft=${sft}`] });
    expect(tuned.text).toContain('the supervised fine-tuning (its data are not here)');
  });

  it('counts what benchmarks ask of every model, and has their time in the total', async () => {
    const rows = join(packageRoot, 'test/fixtures/evaluate/benchmarks/data');
    const overrides = [
      `evaluate.benchmarks={on: [{name: arc_challenge, shots: 1}, {name: gsm8k, shots: 1, limit: 4}], data: ${rows}, limit: 8}`,
      'evaluate.twin=false',
    ];
    const { facts, cost, text } = await dryRun('quickstart', { overrides });
    const [arc, gsm8k] = facts.benchmarks;
    expect(arc).toMatchObject({ items: 8, shots: 1, tokens: { generated: 0 } });
    expect(gsm8k).toMatchObject({ items: 4, tokens: { generated: 4 * 256 } });
    // Letters alone: the story model's tokens are of two to three letters.
    expect(arc?.tokens?.read).toBeGreaterThan(8 * 60);
    const seconds = cost?.iterations.map(({ benchmarkSeconds }) => benchmarkSeconds) ?? [];
    expect(seconds).toEqual(Array(3).fill(cost?.benchmarkBaseSeconds));
    expect(cost?.benchmarkBaseSeconds).toBeGreaterThan(0);
    const without = await dryRun('quickstart', { overrides: ['evaluate.twin=false'] });
    const more = (cost?.totalSeconds ?? 0) - (without.cost?.totalSeconds ?? 0);
    expect(more).toBeCloseTo(4 * (cost?.benchmarkBaseSeconds ?? Number.NaN), 8);
    expect(text).toContain('Benchmarks, of 4 models (the base and each iteration)');
    expect(text).toMatch(/ARC-Challenge, 8 items with 1 example: about [\d,]+ tokens read, each model/);
    const onHub = await dryRun('quickstart', { overrides: ['evaluate.benchmarks={on: [hellaswag], limit: 50}'] });
    expect(onHub.text).toContain('HellaSwag (their rows are not on this machine)');
  });

  it('leaves out an evaluation whose prompts it cannot count, and says so', async () => {
    const { text, cost } = await dryRun('quickstart', { overrides: ['evaluate.prompts=/nowhere/heldout.jsonl'] });
    expect(cost?.evaluateBaseSeconds).toBe(0);
    expect(text).toContain('without the evaluation (its prompts are not on this machine), the ranker, saving');
  });

  it('warns of an iteration of one step, which a warm-up would train at a rate of 0', async () => {
    const { iterations, text } = await dryRun('quickstart', {
      overrides: ['training.batchSize=256', 'training.epochs=1'],
    });
    expect(iterations.map(({ rates }) => rates)).toEqual(Array(3).fill([{ step: 0, learningRate: 3e-4 }]));
    expect(text).toMatch(/Warning: Iteration 2 has a single step.*training\.warmupRatio.*training\.batchSize/);
  });

  it('asks for the rows of data that it cannot see, and leaves costs out for a model that it cannot see', async () => {
    const overrides = ['data.train=/nowhere/rows.jsonl', 'model=hub:nobody/nothing'];
    await expect(dryRun('selm', { overrides })).rejects.toMatchObject({ code: 'DRY_RUN_ROWS_UNKNOWN', exitCode: 2 });
    const { iterations, cost, text } = await dryRun('selm', { overrides, rows: 61135 });
    expect(iterations.at(-1)?.slice.end).toBe(61134);
    expect(cost).toBeNull();
    expect(text).toContain('Memory and time: unknown, the model is not on this machine');
    const absent = dryRun('selm', { overrides: ['model=/nowhere/model'] });
    await expect(absent).rejects.toMatchObject({ code: 'MODEL_FOLDER', exitCode: 2 });
  });

  it('takes the held-out prompts off the rows', async () => {
    const all = await dryRun('selm', { overrides: [] });
    const without = await dryRun('selm', { overrides: ['evaluate.holdOut=20', 'evaluate.prompts=null'] });
    expect(all.facts.rows - without.facts.rows).toBe(20);
  });
});

it('a dry run adds up the questions of a judge, and of one that gives a second opinion', async () => {
  const judge = 'kind: judge, model: m, baseUrl: "http://127.0.0.1/v1"';
  // Three iterations of 15,283 prompts with three candidates: six questions each in both orders.
  const first = await dryRun('zephyr-7b', { overrides: [`ranker={${judge}}`] });
  expect(first.text).toContain(
    'judge m: about 275,094 questions if all responses differ, and more for held-out prompts',
  );
  const second = await dryRun('zephyr-7b', {
    overrides: [`secondOpinion={ranker: {${judge}, ask: {kind: rating}}, share: 0.5, doubtMargin: 0}`],
  });
  // Three ratings on half of them.
  expect(second.text).toContain('judge m: about 68,774 questions, and more on doubt');
});
