/** @file NCCL, for ranks on GPUs: whether this machine's engine has it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../errors.ts';
import { requireDevice } from './device.ts';
import { engineDirectory, NCCL_LIBRARY } from './native.ts';

/**
 * The library that moves tensors of a device between ranks; '' on processors, where Gloo does. Throws EngineError
 * DEVICE_UNAVAILABLE or NCCL_MISSING.
 */
export function ncclLibrary(device: string, engine = engineDirectory): string {
  if (device === 'cpu') return '';
  requireDevice(device);
  return builtNccl(engine);
}

/** The path of an engine's NCCL part. Throws EngineError NCCL_MISSING. */
export function builtNccl(engine: string): string {
  const path = join(engine, NCCL_LIBRARY);
  if (existsSync(path)) return path;
  throw new EngineError(
    'NCCL_MISSING',
    `Cannot run ranks on GPUs: the engine in ${engine} was built without NCCL: install the headers of NCCL and CUDA beside LibTorch (docs/scale.md), then run \`selm engine install\``,
  );
}
