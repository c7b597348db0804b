/**
 * @file Devices other than the CPU: whether this machine's LibTorch can compute there. CUDA's half of LibTorch is not linked
 * to the addon; it is brought in when a device asks for it. Nothing here was ever run on a GPU.
 */
import { join } from 'node:path';
import { EngineError } from '../errors.ts';
import { native, readEngineRecord } from './native.ts';
import { zeros } from './ops.ts';
import { scope } from './tensor.ts';

/** Throws EngineError DEVICE_UNAVAILABLE when no tensor can be made on `device` (`cpu`, `cuda`, `cuda:1` ...). */
export function requireDevice(device: string): void {
  if (device === 'cpu') return;
  const directory = readEngineRecord()?.libtorchDirectory ?? '';
  const problem = native().openLibrary(join(directory, 'lib', 'libtorch_cuda.so')) ?? firstTensorProblem(device);
  if (problem === null) return;
  throw new EngineError(
    'DEVICE_UNAVAILABLE',
    `Cannot compute on ${device}: ${problem.split('\n')[0]}: set device to cpu, or install LibTorch with its CUDA libraries beside an NVIDIA driver`,
    { details: { device, problem } },
  );
}

function firstTensorProblem(device: string): string | null {
  try {
    scope('try a device', () => void zeros([1], { device }));
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
