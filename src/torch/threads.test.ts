/** @file The addon has one thread of a process at a time: others are refused, and it is free again when that thread ends. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { memoryStatistics } from './memory.ts';
import { engineDirectory } from './native.ts';
import { float32, toFloat32Array } from './tensor.ts';

const NATIVE = pathToFileURL(join(packageRoot, 'src', 'torch', 'native.ts')).href;
const ADDON = join(engineDirectory, 'selm.node');

test('native() in a worker beside a thread that has the engine is refused by a code, and harms nothing', async () => {
  using tensor = float32([1, 2, 3]);
  const before = memoryStatistics().liveTensors;
  const program = `
    const { parentPort } = require('node:worker_threads');
    import('tsx/esm/api')
      .then(({ tsImport }) => tsImport(${JSON.stringify(NATIVE)}, ${JSON.stringify(import.meta.url)}))
      .then(({ native }) => native())
      .then(() => parentPort.postMessage('loaded'), ({ code, message }) => parentPort.postMessage({ code, message }));`;
  const worker = new Worker(program, { eval: true });
  const [answer] = (await once(worker, 'message')) as unknown[];
  await worker.terminate();
  expect(answer).toEqual({
    code: 'ENGINE_THREAD',
    message: expect.stringMatching(/^Cannot use the engine in a second thread of this process: .*child_process\.fork/),
  });
  expect(memoryStatistics().liveTensors).toBe(before);
  expect(Array.from(toFloat32Array(tensor))).toEqual([1, 2, 3]);
});

/** Runs workers one after another, or together, in a process whose main thread never loads the addon. */
function inWorkers(body: string): string {
  const program = `
    const { Worker } = require('node:worker_threads');
    const addon = ${JSON.stringify(ADDON)};
    const run = (code) => new Promise((resolve) => {
      const worker = new Worker('const native = require(' + JSON.stringify(addon) + '); ' + code, { eval: true });
      worker.on('error', (error) => resolve(error.code));
      worker.on('exit', () => resolve('ended'));
    });
    (async () => { ${body} })();`;
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the process ended with ${signal ?? status}: ${stderr}`);
  return stdout.trim();
}

test('a thread may load the addon when the one that had it has ended; the tensors left there are freed', () => {
  const leaves = 'native.initialise(1); native.fromBytes(new ArrayBuffer(8), 0, 8, [2], 6, "cpu");';
  const counts = 'native.initialise(1); console.log(native.statistics().slice(0, 2).join());';
  const out = inWorkers(`await run(${JSON.stringify(leaves)}); await run(${JSON.stringify(counts)});`);
  expect(out).toBe('0,0');
});

test('of threads that load the addon at the same moment one gets it, and the others are refused', () => {
  // The one that has it waits until the others were answered.
  const wait = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);';
  const out = inWorkers(`
    const answers = await Promise.all(Array.from({ length: 4 }, () => run(${JSON.stringify(wait)})));
    console.log(answers.sort().join());`);
  expect(out).toBe('SELM_SECOND_THREAD,SELM_SECOND_THREAD,SELM_SECOND_THREAD,ended');
});
