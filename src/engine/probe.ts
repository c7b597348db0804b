/**
 * @file Child process that loads native code, so that a crash or a missing symbol ends it and not the caller. Run by
 * probing.ts: `probe.ts library PATH` (a shared library), `probe.ts addon PATH` (selm.node: a product and a gradient
 * are computed and compared), or `probe.ts cuda ADDON:PATH` (a product on the first card). Prints one JSON line.
 */
import { createRequire } from 'node:module';
import type { Handle, Native } from '../torch/native.ts';

const FLOAT32 = 6;

function loadLibrary(path: string): string {
  try {
    process.dlopen({ exports: {} }, path);
  } catch (error) {
    // The library itself came in; it only is no addon, which is right.
    if (!(error instanceof Error) || !error.message.includes('did not self-register')) throw error;
  }
  return '';
}

/** y = a b for 2x2 matrices, then the gradient of sum(y) by a: rows of sums of b. All numbers are exact in float32. */
function loadAddon(path: string): string {
  const native = createRequire(import.meta.url)(path) as Native;
  native.initialise(1);
  const matrix = (...values: number[]) =>
    native.fromBytes(new Float32Array(values).buffer, 0, 16, [2, 2], FLOAT32, 'cpu');
  const read = (tensor: Handle | null) => {
    if (tensor === null) throw new Error('a tensor has no gradient after the backward pass');
    const values = new Float32Array(4);
    native.toBytes(tensor, values.buffer, 0);
    return values.join(' ');
  };
  const a = matrix(1, 2, 3, 4);
  const b = matrix(5, 6, 7, 8);
  native.setRequiresGrad(a, true);
  const product = native.call(native.resolve('aten::mm', ''), a, b);
  if (typeof product !== 'number') throw new Error(`aten::mm returned ${typeof product}, not a tensor`);
  native.backward([product], [matrix(1, 1, 1, 1)]);
  expectEqual('matrix product', read(product), '19 22 43 50');
  expectEqual('gradient', read(native.gradient(a)), '11 15 11 15');
  return native.version();
}

/** A product of 2x2 matrices on the first card; `path` is the addon and libtorch_cuda.so, with a colon between. */
function loadCuda(path: string): string {
  const [addon = '', library = ''] = path.split(':');
  const native = createRequire(import.meta.url)(addon) as Native;
  native.initialise(1);
  const problem = native.openLibrary(library);
  if (problem !== null) throw new Error(problem);
  const matrix = (...values: number[]) =>
    native.fromBytes(new Float32Array(values).buffer, 0, 16, [2, 2], FLOAT32, 'cuda');
  const product = native.call(native.resolve('aten::mm', ''), matrix(1, 2, 3, 4), matrix(5, 6, 7, 8));
  if (typeof product !== 'number') throw new Error(`aten::mm returned ${typeof product}, not a tensor`);
  const values = new Float32Array(4);
  native.toBytes(product, values.buffer, 0);
  expectEqual('matrix product', values.join(' '), '19 22 43 50');
  return native.version();
}

function expectEqual(what: string, found: string, expected: string): void {
  if (found !== expected) throw new Error(`a ${what} came out as ${found}, not ${expected}`);
}

const [kind, path = ''] = process.argv.slice(2);
try {
  const load = { library: loadLibrary, cuda: loadCuda, addon: loadAddon }[kind ?? ''] ?? loadAddon;
  const version = load(path);
  console.log(JSON.stringify({ loaded: true, version }));
} catch (error) {
  console.log(JSON.stringify({ loaded: false, message: error instanceof Error ? error.message : String(error) }));
}
