/** @file `selm sweep` as a user runs it: a small sweep of two arms and two seeds, one failing arm, a kill, a second start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { compareText } from '../src/cli/compare.ts';
import { lockHolder } from '../src/files/lock.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-sweep-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const HELD_OUT = Array.from({ length: 20 }, (_, i) => `${JSON.stringify({ prompt: `Dog ${i} ran.` })}\n`).join('');

function writeSweep(name: string, changes: Record<string, unknown>): string {
  const folder = join(root, name);
  writeSmallRecipe(folder, { evaluate: { prompts: 'heldout.jsonl', explorationPrompts: 0 }, iterations: 1 });
  writeFileSync(join(folder, 'heldout.jsonl'), HELD_OUT);
  const sweep = { name, recipe: 'recipe.yaml', output: join(folder, 'runs'), ...changes };
  writeFileSync(join(folder, 'sweep.yaml'), stringify(sweep));
  return join(folder, 'sweep.yaml');
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function selm(
  args: string[],
  then: (child: ChildProcess, said: { stdout: string; stderr: string }) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], { cwd: root });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    then(child, { stdout, stderr });
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

const modelOf = (name: string, arm: string, seed: number): string =>
  join(root, name, 'runs', arm, `seed-${seed}`, 'iteration-1', 'model', 'model.safetensors');

it('runs every arm with every seed, and costs nothing the second time', async () => {
  const file = writeSweep('whole', { seeds: [1, 2], grid: { 'objective.exploration.alpha': [0, 0.1] } });
  const first = await selm(['sweep', file, '--parallel', '2']);
  expect(first.stderr).toMatch(/\[1\/4\] alpha-0, seed 1 {2}begins/);
  expect(first.code).toBe(0);
  const models = ['alpha-0', 'alpha-0.1'].flatMap((arm) => [1, 2].map((seed) => modelOf('whole', arm, seed)));
  expect(models.map((path) => existsSync(path))).toEqual([true, true, true, true]);
  expect(first.stdout).toMatch(/alpha = 0.1, iteration 1 +2 +/);
  expect(first.stdout).toMatch(/paired by 20 prompts and 2 seeds/);
  const written = ['html', 'md', 'json'].map((ending) =>
    existsSync(join(root, 'whole', 'runs', `comparison.${ending}`)),
  );
  expect(written).toEqual([true, true, true]);
  const before = models.map((path) => statSync(path).mtimeMs);
  const second = await selm(['sweep', file]);
  expect(second.stdout).toBe(first.stdout);
  expect(second.stderr.match(/finished before/g)).toHaveLength(4);
  expect(second.stderr).not.toMatch(/begins/);
  expect(models.map((path) => statSync(path).mtimeMs)).toEqual(before);
});

it('compares runs under labels of their own, and says what it cannot make sense of', async () => {
  const run = (arm: string, seed: number): string => join(root, 'whole', 'runs', arm, `seed-${seed}`);
  const runs = [1, 2].flatMap((seed) => [`zero=${run('alpha-0', seed)}`, `some=${run('alpha-0.1', seed)}`]);
  const options = { json: true as const, pairsLimit: 1, results: [] };
  const found = JSON.parse(await compareText(runs, { ...options, baseline: 'some' })) as {
    arms: { name: string; runs: { seed: number }[] }[];
    comparisons: { arm: string; baseline: string; bySeed: { seed: number }[] }[];
  };
  expect(found.arms.map(({ name, runs: own }) => [name, own.map(({ seed }) => seed)])).toEqual([
    ['zero', [1, 2]],
    ['some', [1, 2]],
  ]);
  expect(found.comparisons).toMatchObject([{ arm: 'zero', baseline: 'some', bySeed: [{ seed: 1 }, { seed: 2 }] }]);
  await expect(compareText(runs, { ...options, baseline: 'som' })).rejects.toThrow('did you mean "some"');
  await expect(compareText([...runs, `zero=${run('alpha-0', 1)}`], options)).rejects.toThrow(/two runs of seed 1/);
  await expect(compareText(runs, { ...options, results: ['zer=x.json'] })).rejects.toThrow(/x\.json/);
});

it('tells a run that fails, goes on with the others, and ends with exit code 1', async () => {
  const file = writeSweep('failing', {
    arms: [
      { name: 'broken', set: { 'ranker.module': 'broken.ts' } },
      { name: 'sound', set: {} },
    ],
  });
  writeFileSync(join(root, 'failing', 'broken.ts'), "export const reward = () => { throw new Error('no'); };\n");
  const { code, stderr } = await selm(['sweep', file]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/\[1\/2\] broken, seed 3 {2}failed: .*threw Error: no/);
  expect(stderr).toMatch(/1 of the 2 runs of sweep "failing" failed/);
  expect(existsSync(modelOf('failing', 'sound', 3))).toBe(true);
});

/** Starts a sweep that ends itself by a signal when a stage of a run has begun. */
function interrupted(file: string, stage: string, signal: NodeJS.Signals): Promise<Ended> {
  let sent = false;
  return selm(['sweep', file, '--json'], (child, { stdout }) => {
    if (sent || !stdout.includes(`"kind":"stage-started","stage":"${stage}"`)) return;
    sent = true;
    child.kill(signal);
  });
}

it('killed or stopped by a signal, it goes on to the same bytes; a kill leaves no process behind', async () => {
  const file = writeSweep('stopped', { seeds: [1], grid: { 'objective.exploration.alpha': [0] } });
  await interrupted(file, 'sample', 'SIGKILL');
  const lock = join(root, 'stopped', 'runs', 'alpha-0', 'seed-1', 'run.lock');
  await vi.waitFor(() => expect(lockHolder(lock)).toBeNull(), { timeout: 20_000, interval: 100 });
  const stopped = await interrupted(file, 'train', 'SIGTERM');
  expect(stopped.code).toBe(143);
  expect(stopped.stderr).toMatch(/go on with:\n.*selm sweep /);
  const last = await selm(['sweep', file]);
  expect(last.stderr).toMatch(/alpha-0, seed 1 {2}(goes on|finished before)/);
  expect(last.code).toBe(0);
  const [whole, resumed] = ['whole', 'stopped'].map((name) => readFileSync(modelOf(name, 'alpha-0', 1)));
  expect(resumed?.equals(whole ?? Buffer.alloc(0))).toBe(true);
});
