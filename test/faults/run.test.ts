/**
 * @file What befalls runs: two processes in one directory, a clock that jumps back, a directory that is read-only, linked or
 * moved, a model that is deleted, memory that runs out, a disk that is full. Each ends in an error that says what to do,
 * loses nothing, and the same command then ends with the bytes of an unbroken run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { InterruptedError, OutOfMemoryError, SelmError } from '../../src/errors.ts';
import { verifyDirectory } from '../../src/files/atomic.ts';
import { sha256 } from '../../src/files/hash.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { runRecipe } from '../../src/loop/run.ts';
import { loadRecipe } from '../../src/recipe/load.ts';
import type { LoopEvent } from '../../src/store/events.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { failAllocation, memoryStatistics } from '../../src/torch/memory.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

// Several processes and runs a test: seconds of work, on a busy machine a minute.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const root = mkdtempSync(join(tmpdir(), 'selm-run-faults-'));
const recipePath = writeSmallRecipe(root, {
  data: { train: 'prompts.jsonl', limit: 18 },
  sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 6 },
});
const unbroken = join(root, 'unbroken');
beforeAll(() => train(unbroken));
afterAll(() => rmSync(root, { recursive: true, force: true }));
afterEach(() => {
  failAllocation(-1);
  vi.useRealTimers();
});

let count = 0;
function newOutput(): string {
  return join(root, `run-${count++}`);
}

/** Trains into `output` in this process; `stop` may end it by an AbortSignal, `changes` go over the recipe's settings. */
async function train(
  output: string,
  stop?: (event: LoopEvent) => boolean,
  changes: readonly string[] = [],
): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const controller = new AbortController();
  await runRecipe(loadRecipe(recipePath, { overrides: [`output=${output}`, ...changes] }), {
    signal: controller.signal,
    watch: (event) => {
      events.push(event);
      if (stop?.(event)) controller.abort(new InterruptedError('INTERRUPTED', 'Stopped by the test'));
    },
  });
  return events;
}

/** Trains until the first iteration is finished and the second has begun to sample. */
async function trainHalf(output: string): Promise<void> {
  const stop = (event: LoopEvent): boolean =>
    event.kind === 'stage-progress' && event.iteration === 2 && event.stage === 'sample';
  await expect(train(output, stop)).rejects.toThrow(InterruptedError);
}

function command(output: string): string[] {
  return [join(packageRoot, 'bin', 'selm'), 'train', recipePath, '--json', '--set', `output=${output}`];
}

function modelBytes(output: string, iteration = 2): string {
  return sha256(readFileSync(join(output, `iteration-${iteration}`, 'model', 'model.safetensors')));
}

/** What must be so whatever happened: the ledger opens, every model and checkpoint that is there is whole. */
async function expectNothingTorn(output: string): Promise<void> {
  if (existsSync(join(output, 'run.db'))) openLedger(join(output, 'run.db')).close();
  const names = existsSync(output) ? readdirSync(output, { recursive: true, encoding: 'utf8' }) : [];
  for (const name of names) {
    if (/(^|\/)(model|checkpoint-\d+)$/.test(name)) await verifyDirectory(join(output, name));
  }
}

async function failureOf(work: Promise<unknown>): Promise<SelmError> {
  const error: unknown = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof SelmError) return error;
  throw new Error(`No SelmError but ${String(error)}`);
}

describe('two processes', () => {
  it('in one run directory: the second is refused with exit code 2, and the first ends as if it had been alone', async () => {
    const output = newOutput();
    const first = spawn(process.execPath, command(output), { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(first, 'exit');
    for await (const line of createInterface({ input: first.stdout })) {
      if (line.includes('stage-progress')) break;
    }
    // Held in the middle of its work while the second tries.
    first.kill('SIGSTOP');
    const second = spawnSync(process.execPath, command(output), { encoding: 'utf8' });
    first.kill('SIGCONT');
    first.stdout.resume();
    expect(second.status).toBe(2);
    expect(second.stderr).toContain('RUN_LOCKED');
    expect(second.stderr).toContain(`process ${first.pid} works in it: wait for it, or stop it`);
    expect(await ended).toEqual([0, null]);
    expect(modelBytes(output)).toBe(modelBytes(unbroken));
  });
});

describe('a clock that jumps back', () => {
  it('while a run is stopped, and an hour at every event, changes neither the weights nor the order of what was measured', async () => {
    const output = newOutput();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2030, 0, 1) });
    await trainHalf(output);
    vi.setSystemTime(Date.UTC(2001, 0, 1));
    await train(output, () => {
      vi.setSystemTime(Date.now() - 3_600_000);
      return false;
    });
    expect(modelBytes(output)).toBe(modelBytes(unbroken));
    const losses = (path: string): unknown => {
      using ledger = openLedger(join(path, 'run.db'), { access: 'read' });
      return ledger.metrics().map(({ iteration, step, values }) => [iteration, step, values.loss]);
    };
    expect(losses(output)).toEqual(losses(unbroken));
  });
});

describe('a run directory', () => {
  it('that is a link is the directory it leads to, and goes on where it is moved to', async () => {
    const [place, moved, link] = [join(root, 'other-disk'), newOutput(), newOutput()];
    mkdirSync(place);
    symlinkSync(place, link);
    await trainHalf(link);
    expect(readdirSync(place)).toContain('config.yaml');
    renameSync(place, moved);
    const events = await train(moved);
    expect(events).toContainEqual(expect.objectContaining({ kind: 'note', text: `output: "${link}" -> "${moved}"` }));
    expect(modelBytes(moved)).toBe(modelBytes(unbroken));
    expect(existsSync(place)).toBe(false);
  });

  it('that is a link to nowhere is refused, and nothing is made there', async () => {
    const link = newOutput();
    symlinkSync(join(root, 'not-there'), link);
    const error = await failureOf(train(link));
    expect(error).toMatchObject({ name: 'FileError', exitCode: 2 });
    expect(error.message).toContain(link);
    expect(error.message).toMatch(/link/);
    expect(existsSync(join(root, 'not-there'))).toBe(false);
  });
});

describe('a model that was deleted', () => {
  it('between iterations is trained again from the ledger, and told', async () => {
    const output = newOutput();
    await trainHalf(output);
    rmSync(join(output, 'iteration-1', 'model'), { recursive: true });
    const events = await train(output);
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'warning',
        text: `The model of iteration 1 is gone from ${join(output, 'iteration-1', 'model')}: it is trained again`,
      }),
    );
    for (const iteration of [1, 2]) expect(modelBytes(output, iteration)).toBe(modelBytes(unbroken, iteration));
  });

  it('of an early iteration of a finished run, to free space, is not missed', async () => {
    const output = newOutput();
    cpSync(unbroken, output, { recursive: true });
    rmSync(join(output, 'iteration-1', 'model'), { recursive: true });
    const events = await train(output);
    expect(events.map(({ kind }) => kind)).not.toContain('metrics');
    expect(existsSync(join(output, 'iteration-1', 'model'))).toBe(false);
  });

  it('while the run goes on is an error that names it, and the next attempt trains it again', async () => {
    const output = newOutput();
    const model = join(output, 'iteration-1', 'model');
    const error = await failureOf(
      train(output, (event) => {
        if (event.kind === 'stage-finished' && event.iteration === 1 && event.stage === 'train')
          rmSync(model, { recursive: true });
        return false;
      }),
    );
    expect(error.message).toContain(model);
    await train(output);
    expect(modelBytes(output)).toBe(modelBytes(unbroken));
  });
});

describe('memory that runs out', () => {
  it('again and again in one run, ever later, leaks nothing, and the run ends with the same bytes', async () => {
    const output = newOutput();
    const before = memoryStatistics().liveTensors;
    let failures = 0;
    // From the first weight that is read to the last step: train.test.ts walks over every allocation of a step.
    for (let allocation = 10; ; allocation *= 6) {
      failAllocation(allocation);
      const error: unknown = await train(output).then(
        () => null,
        (caught: unknown) => caught,
      );
      failAllocation(-1);
      expect(memoryStatistics().liveTensors, `allocation ${allocation}`).toBe(before);
      if (error === null) break;
      expect(error).toBeInstanceOf(OutOfMemoryError);
      expect(String(error)).toMatch(/lower training\.microBatchTokens or sampling\.batchSize/);
      await expectNothingTorn(output);
      failures += 1;
    }
    expect(failures).toBeGreaterThan(3);
    expect(modelBytes(output)).toBe(modelBytes(unbroken));
  });

  it('in a training step goes on from its checkpoint when the settings of the message are lowered, to the same weights but for rounding', async () => {
    const output = newOutput();
    const failInStep = (event: LoopEvent): boolean => {
      if (event.kind === 'stage-progress' && event.stage === 'train' && event.done === 1) failAllocation(20);
      return false;
    };
    const error = await failureOf(train(output, failInStep));
    failAllocation(-1);
    expect(error.message).toMatch(/lower training\.microBatchTokens or sampling\.batchSize/);
    const lowered = ['training.microBatchTokens=40', 'sampling.batchSize=2', 'training.activations=recompute'];
    const events = await train(output, undefined, [...lowered, 'training.checkpointEverySteps=2']);
    expect(events.find((event) => event.kind === 'stage-started' && event.stage === 'train')).toMatchObject({
      done: 1,
    });
    const weightsOf = (path: string) => {
      const bytes = readFileSync(join(path, 'iteration-1', 'model', 'model.safetensors'));
      const { dataOffset } = readSafetensorsHeader(join(path, 'iteration-1', 'model', 'model.safetensors'));
      return new Float32Array(new Uint8Array(bytes.subarray(dataOffset)).buffer);
    };
    const [lower, whole] = [weightsOf(output), weightsOf(unbroken)];
    // Gradients are summed in another order: Adam turns a last bit of a gradient near 0 into a part of a step of 5e-4.
    const apart = lower.reduce((most, weight, i) => Math.max(most, Math.abs(weight - (whole[i] ?? Number.NaN))), 0);
    expect(apart).toBeLessThan(1e-4);
  });
});

const disk = join(root, 'disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]).status === 0;
afterAll(() => {
  // Lazily: the folder is free at once, whoever still closes a file there.
  if (mounted) spawnSync('umount', ['-l', disk]);
});
const why = mounted ? '' : ' (skipped: this user may not mount a tmpfs)';
/** Busy for a moment is no failure: a stream of the run before may still be closing its file in another thread. */
const remount = (options: string): Promise<void> =>
  vi.waitFor(
    () => {
      const { status, stderr } = spawnSync('mount', ['-o', `remount,${options}`, disk], { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
    },
    { timeout: 20_000, interval: 100 },
  );

describe('a disk', () => {
  it.skipIf(!mounted)(
    `that is full stops the run wherever that happens, saying what is free; with a little more room it goes on${why}`,
    async () => {
      const output = join(disk, 'growing');
      const stoppedAt: string[] = [];
      for (let sizeKb = 120; sizeKb < 30_000; sizeKb *= 3) {
        await remount(`size=${sizeKb}k`);
        const error: unknown = await train(output).then(
          () => null,
          (caught: unknown) => caught,
        );
        if (error === null) break;
        if (!(error instanceof SelmError)) throw error;
        expect(error, `${sizeKb} KB: ${error.message}`).toMatchObject({ code: 'DISK_FULL', exitCode: 2 });
        expect(error.message).toMatch(/free: free space there .* and run the same command again/);
        // Of a directory it is known what it takes; of the ledger it is not.
        if (/^Cannot write "/.test(error.message)) expect(error.message).toMatch(/\d [KM]B needed, [\d.]+ [KM]?B free/);
        stoppedAt.push(error.message.replace(/^Cannot ([a-z ]+) ".*\/([a-z.]+)[-\d]*":.*$/, '$1 $2'));
        await remount('size=100m');
        await expectNothingTorn(output);
      }
      console.log(`a full disk stopped it ${stoppedAt.length} times: ${stoppedAt.join(', ')}`);
      expect(new Set(stoppedAt).size).toBeGreaterThanOrEqual(2);
      expect(modelBytes(output)).toBe(modelBytes(unbroken));
      rmSync(output, { recursive: true });
    },
  );

  // Root passes over permission bits, not over a file system mounted read-only.
  it.skipIf(!mounted)(
    `that is read-only refuses a new run and an old one, and the old one stays as it is${why}`,
    async () => {
      await remount('size=100m');
      const output = join(disk, 'old');
      await trainHalf(output);
      const before = readdirSync(output, { recursive: true }).sort();
      // A second, read-only way to the same disk: the disk itself may still have a writer that is closing.
      const sealed = join(root, 'sealed');
      mkdirSync(sealed);
      expect(spawnSync('mount', ['--bind', disk, sealed]).status).toBe(0);
      try {
        expect(spawnSync('mount', ['-o', 'remount,bind,ro', sealed]).status).toBe(0);
        for (const path of [join(sealed, 'old'), join(sealed, 'new')]) {
          const error = await failureOf(train(path));
          expect(error, error.message).toMatchObject({ code: 'READ_ONLY', exitCode: 2 });
          expect(error.message).toContain('choose another output folder');
        }
      } finally {
        spawnSync('umount', ['-l', sealed]);
      }
      expect(readdirSync(output, { recursive: true }).sort()).toEqual(before);
      await train(output);
      expect(modelBytes(output)).toBe(modelBytes(unbroken));
    },
  );
});
