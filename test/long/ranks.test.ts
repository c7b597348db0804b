/**
 * @file What ranks make of a reward model and of `selm eval`, that they save where all are asked to stop, and how ranks that cannot work
 * are refused: by the program itself.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { isAlive, ranksBelow, runOnRanks } from '../support/run-on-ranks.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

let folder = '';
let recipePath = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-ranks-'));
  recipePath = writeSmallRecipe(folder, { evaluate: { holdOut: 4, explorationPrompts: 4, maxNewTokens: 12 } });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a reward model that three ranks learn, and rank by, has the losses of one process, and gives pairs of the same prompts', async () => {
  for (const ranks of [1, 3]) {
    const output = `output=${join(folder, `reward-${ranks}`)}`;
    const settings = [output, 'iterations=1', 'rewardModel={labels: 6, alpha: 0.01, learningRate: 0.001}'];
    expect(await runOnRanks(recipePath, { ranks, settings })).toMatchObject({ code: 0 });
  }
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

it.each([
  { who: 'the others first', order: [1, 2, 0], pauseMs: 150 }, // rank 0 has heard of theirs when its own comes
  { who: 'rank 0 first', order: [0, 1, 2], pauseMs: 0 },
])(
  'SIGTERM at all ranks, $who, saves and stops them as one at rank 0 does',
  async ({ order, pauseMs }) => {
    const output = join(folder, `stopped-${order[0]}`);
    const child = spawn(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), 'train', recipePath, '--json', '--ranks', '3', '--set', `output=${output}`],
      { env: { ...process.env, SELM_THREADS: '1' }, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    let told = '';
    let isAsked = false;
    child.stdout.on('data', async (data: Buffer) => {
      told += data.toString();
      if (isAsked || !told.includes('"stage":"sample"')) return;
      isAsked = true;
      const others = ranksBelow(child.pid);
      for (const rank of order) {
        const pid = rank === 0 ? child.pid : others.get(rank);
        if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGTERM');
        await sleep(pauseMs);
      }
    });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(143);
    expect(told).toContain('"kind":"run-stopped"');
  },
  120_000,
);

describe('ranks that cannot work', () => {
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, resolve));
  });
  afterAll(() => void taken.close());
  const port = (): string => {
    const address = taken.address();
    return String(typeof address === 'object' && address !== null ? address.port : 0);
  };

  it.each<[string, string[], () => Record<string, string>, string]>([
    [
      'a port in use',
      [],
      () => ({ RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port() }),
      'of this machine is in use: set MASTER_PORT',
    ],
    [
      'more ranks than prompts',
      ['--ranks', '3', '--set', 'data.limit=4'],
      () => ({}),
      'the smallest slice of prompts has 2, and each rank takes at least one',
    ],
    [
      'sharding that cannot apply',
      ['--ranks', '3', '--set', 'training.sharding=full', '--set', 'training.activations=keep'],
      () => ({}),
      'training.sharding is full, which frees a block after its forward pass, and activations is keep',
    ],
  ])('%s is one error, exit code 2, and nothing is written', (_, words, environment, message) => {
    const output = join(folder, 'refused');
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), 'train', recipePath, '--set', `output=${output}`, ...words],
      { env: { ...process.env, SELM_THREADS: '1', ...environment() }, encoding: 'utf8' },
    );
    expect(stderr).toContain(message);
    expect(stderr.match(/Cannot /g), stderr).toHaveLength(1);
    expect(status).toBe(2);
    expect(existsSync(output)).toBe(false);
  });
});
