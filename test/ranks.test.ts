/**
 * @file `selm train --ranks`: the results of one process, the same bytes for the same number of ranks, and what happens when
 * a rank is killed or asked to stop. Ranks are processes here, as they are for a user.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

let folder = '';
let recipePath = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'selm-ranks-run-'));
  recipePath = writeSmallRecipe(folder, {
    iterations: 1,
    // Answers are described by all ranks, and what is asked in the second round goes by what the first taught.
    select: { budget: 16, prompts: 'doubt', beliefs: 'reward-model', rounds: 2 },
    evaluate: { holdOut: 4, explorationPrompts: 4, maxNewTokens: 12 },
  });
  // What the tests compare with: unbroken runs of one process, and of two ranks.
  expect(await train('alone', 1)).toMatchObject({ code: 0 });
  expect(await train('two', 2)).toMatchObject({ code: 0 });
}, 180_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  errors: string;
}

/** Runs the recipe; `onEvent` sees each event as it is told, and the process that tells it. */
function train(
  output: string,
  ranks: number,
  {
    onEvent = () => {},
    environment = {},
    command = 'train',
    recipe = recipePath,
  }: {
    onEvent?: (event: { kind: string; stage?: string }, rank0: ChildProcess) => void;
    environment?: Record<string, string>;
    command?: 'train' | 'sft';
    recipe?: string;
  } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const args = [command, recipe, '--json', '--set', `output=${join(folder, output)}`];
    if (ranks > 1) args.push('--ranks', String(ranks));
    const child = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], {
      env: { ...process.env, SELM_THREADS: '1', ...environment },
    });
    let rest = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onEvent(JSON.parse(line) as { kind: string }, child);
    });
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    child.on('close', (code) => resolve({ code, errors }));
  });
}

/** A small fine-tuning; the path of its recipe. */
function writeSft(): string {
  const rows = ['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max'].map((name) => ({
    prompt: `${name} went to the`,
    completion: ` park and saw ${name === 'Tom' ? 'a very big and friendly dog' : 'a cat'}.`,
  }));
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const recipe = {
    name: 'small-sft',
    seed: 3,
    model: join(packageRoot, 'assets', 'stories260K'),
    data: { train: 'rows.jsonl' },
    text: { maxLength: 64, prompts: 'raw' },
    training: { batchSize: 4, epochs: 2, learningRate: 0.003, microBatchTokens: 64 },
  };
  const path = join(folder, 'sft.yaml');
  writeFileSync(path, stringify(recipe));
  return path;
}

/** Processes that a process started. */
function childrenOf({ pid }: ChildProcess): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
}

function modelOf(output: string): string {
  return sha256(readFileSync(join(folder, output, 'iteration-1', 'model', 'model.safetensors')));
}

/** What a run found out, in orders of its own. */
function resultsOf(output: string) {
  using ledger = openLedger(join(folder, output, 'run.db'));
  const byKey = <Value>(entries: [string, Value][]): Record<string, Value> =>
    Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    responses: byKey(
      ledger.responses(1).map((each) => [`${each.promptId}/${each.sampleIndex}`, [each.text, each.logProb]]),
    ),
    pairs: byKey(ledger.pairs(1).map(({ pairId, chosen, rejected }) => [pairId, [chosen, rejected]])),
    losses: ledger
      .metrics()
      .filter(({ stage }) => stage === 'train')
      .map(({ values }) => values.loss ?? Number.NaN),
    base: ledger.record(0, 'evaluation'),
    selection: ledger.record(1, 'selection'),
  };
}

describe('a run on ranks', () => {
  it('has the responses, questions, pairs and measurements of one process to the bit, and its losses', () => {
    const [alone, two] = [resultsOf('alone'), resultsOf('two')];
    expect(Object.keys(alone.responses).length).toBe(40);
    expect(two.responses).toEqual(alone.responses);
    expect(alone.selection).toMatchObject({ passed: 4, rounds: 2 });
    expect(two.selection).toEqual(alone.selection);
    expect(two.pairs).toEqual(alone.pairs);
    expect(two.base).toEqual(alone.base);
    expect(two.losses.length).toBe(alone.losses.length);
    // fp32 sums in another order.
    for (const [step, loss] of alone.losses.entries())
      expect(Math.abs((two.losses[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
    expect(
      readdirSync(folder).filter((name) => name.startsWith('.')),
      'nothing is left beside the run',
    ).toEqual([]);
  });

  it('whose rank is killed ends, says which and how to go on; the same command goes on to the same bytes', async () => {
    let killed = 0;
    const broken = await train('broken', 2, {
      onEvent: (event, rank0) => {
        if (event.kind !== 'metrics' || killed++ !== 2) return;
        for (const pid of childrenOf(rank0)) process.kill(pid, 'SIGKILL');
      },
    });
    expect(broken.code).toBe(1);
    expect(broken.errors).toContain('Rank 1 ended (SIGKILL)');
    expect(await train('broken', 2)).toMatchObject({ code: 0 });
    expect(modelOf('broken')).toBe(modelOf('two'));
  });

  it('that was asked to stop at another rank saves, and goes on with another number of ranks', async () => {
    let asked = false;
    const stopped = await train('stopped', 3, {
      onEvent: (event, rank0) => {
        if (event.kind !== 'stage-started' || event.stage !== 'sample' || asked) return;
        asked = true;
        const [first] = childrenOf(rank0);
        if (first !== undefined) process.kill(first, 'SIGTERM');
      },
    });
    expect(stopped.code).toBe(143);
    expect(await train('stopped', 2)).toMatchObject({ code: 0 });
    const [alone, resumed] = [resultsOf('alone'), resultsOf('stopped')];
    for (const [step, loss] of alone.losses.entries())
      expect(Math.abs((resumed.losses[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
  });
});

it('a fine-tuning on ranks has the losses of one process', async () => {
  const recipe = writeSft();
  const losses: number[][] = [];
  for (const ranks of [1, 2]) {
    const output = `sft-${ranks}`;
    expect(await train(output, ranks, { command: 'sft', recipe })).toMatchObject({ code: 0 });
    using ledger = openLedger(join(folder, output, 'run.db'));
    losses.push(ledger.metrics().map(({ values }) => values.loss ?? Number.NaN));
  }
  const [alone = [], two = []] = losses;
  expect(alone.length).toBe(4);
  for (const [step, loss] of alone.entries()) expect(Math.abs((two[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
});

describe('what launchers say', () => {
  it.each<[string, Record<string, string>, string]>([
    ['no address', { RANK: '0', WORLD_SIZE: '2' }, 'MASTER_ADDR is not set'],
    [
      'a rank that does not come',
      { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29711', SELM_RANKS_TIMEOUT: '1' },
      'rank 1 did not come within 1 s',
    ],
  ])('%s is one error, exit code 2', async (_, environment, message) => {
    const { code, errors } = await train('refused', 1, { environment });
    expect(errors).toContain(message);
    expect(code).toBe(2);
    expect(readdirSync(folder)).not.toContain('refused');
  });
});
