/**
 * @file Ranks that are killed at random, rank 0 among them: the others end by themselves, the same command goes on, and the
 * weights are those of an unbroken run on as many ranks, however these share the policy. SELM_KILLS says how often (20).
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256 } from '../../src/files/hash.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

const KILLS = Number(process.env.SELM_KILLS ?? 20);
const RANKS = 3;
/** A rank whose others are gone has ended by then. */
const END_MS = 30_000;

let folder = '';
let recipePath = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-ranks-kills-'));
  recipePath = writeSmallRecipe(folder, { evaluate: { holdOut: 4, explorationPrompts: 4, maxNewTokens: 12 } });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SHARDINGS = ['none', 'optimiser', 'full'] as const;
type Sharding = (typeof SHARDINGS)[number];

/** Kills one rank when the run has told so many events. */
interface Kill {
  rank: number;
  afterEvents: number;
}

/** Runs to the end or to the kill; afterwards no rank lives. */
async function run(
  output: string,
  sharding: Sharding,
  kill: Kill | null,
  { ranks = RANKS, more = [] }: { ranks?: number; more?: string[] } = {},
): Promise<number | null> {
  const settings = [`output=${join(folder, output)}`, `training.sharding=${sharding}`, ...more];
  const args = [
    'train',
    recipePath,
    '--json',
    '--ranks',
    String(ranks),
    ...settings.flatMap((each) => ['--set', each]),
  ];
  const child = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], {
    env: { ...process.env, SELM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let others: number[] = [];
  let events = 0;
  child.stdout.on('data', (data: Buffer) => {
    events += data.toString().split('\n').length - 1;
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    if (others.length < RANKS - 1 && existsSync(children))
      others = readFileSync(children, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
    if (kill === null || events < kill.afterEvents) return;
    const pid = kill.rank === 0 ? child.pid : others[kill.rank - 1];
    if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  for (let waitedMs = 0; others.some(isAlive); waitedMs += 100) {
    if (waitedMs > END_MS) throw new Error(`A rank lives after the others are gone: ${others.filter(isAlive)}`);
    await sleep(100);
  }
  return code;
}

function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !readFileSync(status, 'utf8').includes('State:\tZ');
}

const weights = (output: string): string[] =>
  [1, 2].map((iteration) =>
    sha256(readFileSync(join(folder, output, `iteration-${iteration}`, 'model', 'model.safetensors'))),
  );

it(`${KILLS} kills of random ranks change no byte of the weights, and leave no rank behind`, async () => {
  for (const sharding of SHARDINGS) expect(await run(`unbroken-${sharding}`, sharding, null)).toBe(0);
  const key = randomKey(7, 'kills');
  let made = 0;
  for (let round = 0; made < KILLS; round++) {
    const output = `killed-${round}`;
    const sharding = SHARDINGS[round % SHARDINGS.length] ?? 'none';
    let code: number | null = null;
    // A few kills a run, so that all its stages are met; then it goes on to its end.
    for (let k = 0; k < 4 && made < KILLS && code !== 0; k++, made++) {
      const rank = Math.floor(uniformAt(key, 2 * made) * RANKS);
      code = await run(output, sharding, { rank, afterEvents: 2 + Math.floor(uniformAt(key, 2 * made + 1) * 60) });
    }
    if (code !== 0) expect(await run(output, sharding, null)).toBe(0);
    expect(weights(output)).toEqual(weights(`unbroken-${sharding}`));
  }
}, 1_800_000);

it('a reward model that three ranks learn, and rank by, has the losses of one process, and gives pairs of the same prompts', async () => {
  const more = ['iterations=1', 'rewardModel={labels: 6, alpha: 0.01, learningRate: 0.001}'];
  expect(await run('reward-1', 'none', null, { ranks: 1, more })).toBe(0);
  expect(await run('reward-3', 'none', null, { ranks: 3, more })).toBe(0);
  const found = ['reward-1', 'reward-3'].map((output) => {
    using ledger = openLedger(join(folder, output, 'run.db'));
    const losses = ledger
      .metrics()
      .filter(({ stage }) => stage === 'reward-model')
      .map(({ values }) => values.loss ?? Number.NaN);
    return {
      losses,
      prompts: ledger
        .pairs(1)
        .map(({ promptId }) => promptId)
        .sort(),
    };
  });
  const [alone, three] = found;
  expect(alone?.losses.length).toBeGreaterThan(0);
  expect(three?.prompts).toEqual(alone?.prompts);
  // fp32 sums in another order.
  for (const [step, loss] of (alone?.losses ?? []).entries())
    expect(Math.abs((three?.losses[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
}, 300_000);

it('selm eval on three ranks prints what one process prints', async () => {
  const model = join(packageRoot, 'assets', 'stories260K');
  const data = join(packageRoot, 'test', 'fixtures', 'evaluate', 'benchmarks', 'data');
  const print = (ranks: number): Promise<string> => {
    const store = join(folder, `answers-${ranks}.db`);
    const args = ['eval', model, '--on', 'hellaswag,gsm8k_cot', '--data', data, '--limit', '5', '--json'];
    const child = spawn(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), ...args, '--store', store, '--ranks', String(ranks)],
      {
        env: { ...process.env, SELM_THREADS: '1' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
    return new Promise((resolve) => child.on('close', () => resolve(text)));
  };
  const alone = await print(1);
  expect(JSON.parse(alone)).toHaveProperty('benchmarks');
  expect(await print(3)).toBe(alone);
}, 300_000);
