/** @file CUDA's half of LibTorch on this machine: which one there is, and what `selm doctor` says of it and of the cards. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { explainCuda } from '../torch/cuda-problems.ts';
import { type GpuAnswer, hasBfloat16 } from '../torch/gpus.ts';
import type { Check } from './checks.ts';
import { gigabytes } from './machine.ts';
import type { Probe } from './probing.ts';

const INSTALL = 'run `selm engine install --cuda`';

/** Versions of a LibTorch's CUDA half. */
export interface CudaHalf {
  /** libtorch_cuda.so. */
  library: string;
  /** `13.2`; null where the folder does not say. */
  cuda: string | null;
  cudnn: string | null;
}

/** The CUDA half of a LibTorch folder; null where there is none. */
export function cudaHalf(directory: string): CudaHalf | null {
  const library = join(directory, 'lib', 'libtorch_cuda.so');
  if (!existsSync(library)) return null;
  const version = join(directory, 'version.py');
  const text = existsSync(version) ? readFileSync(version, 'utf8') : '';
  const packages = existsSync(dirname(directory)) ? readdirSync(dirname(directory)) : [];
  const cudnn = packages.map((name) => /^nvidia_cudnn_cu\d+-([\d.]+)\.dist-info$/.exec(name)?.[1]).find(Boolean);
  return { library, cuda: /^cuda\b[^=]*=\s*'([\d.]+)'/m.exec(text)?.[1] ?? null, cudnn: cudnn ?? null };
}

/** What the built engine can do with a CUDA half. */
export interface CudaEngine {
  /** Tries it; asked only where it can work. */
  compute(half: CudaHalf): Probe;
  /** Whether its part for graphs was built. */
  hasGraphs: boolean;
}

/** A line for each card, and those for LibTorch's CUDA half. */
export function checkGpus(answer: GpuAnswer, half: CudaHalf | null, engine: CudaEngine): Check[] {
  switch (answer.kind) {
    case 'no driver':
      return [{ name: 'gpu', status: 'ok', detail: 'no NVIDIA driver: selm computes on the CPU', fix: null }];
    case 'no answer':
      return [{ name: 'gpu', status: 'warning', detail: answer.problem, fix: answer.fix }];
    case 'cards':
      return [...answer.cards.map(cardCheck), ...halfChecks(half, engine)];
  }
}

function cardCheck(card: Extract<GpuAnswer, { kind: 'cards' }>['cards'][number]): Check {
  const { index, name, memoryBytes, freeBytes, driver, computeCapability } = card;
  const capability = computeCapability === null ? '' : `, compute capability ${computeCapability.toFixed(1)}`;
  const memory = `${gigabytes(memoryBytes)}, ${gigabytes(freeBytes)} free`;
  const detail = `cuda:${index}: ${name}, ${memory}${capability}, driver ${driver}`;
  if (hasBfloat16(card)) return { name: 'gpu', status: 'ok', detail, fix: null };
  return {
    name: 'gpu',
    status: 'warning',
    detail: `${detail}: it does not multiply bfloat16`,
    fix: 'keep `training.dtype: float32` and `sampling.dtype: float32` there',
  };
}

function halfChecks(half: CudaHalf | null, { compute, hasGraphs }: CudaEngine): Check[] {
  if (half === null) {
    const detail = 'the LibTorch in use computes on the CPU alone';
    return [{ name: 'cuda', status: 'warning', detail, fix: INSTALL }];
  }
  const detail = `CUDA ${half.cuda ?? 'unknown'}, cuDNN ${half.cudnn ?? 'unknown'}, in ${half.library}`;
  const found = compute(half);
  const versions: Check = { name: 'cuda', status: 'ok', detail, fix: null };
  if (found.kind === 'loads') {
    const computes: Check = {
      name: 'cuda computes',
      status: 'ok',
      detail: 'a matrix product came out right',
      fix: null,
    };
    return [versions, computes, graphsCheck(hasGraphs)];
  }
  const { problem, fix } = explainCuda(found.message);
  return [versions, { name: 'cuda computes', status: 'warning', detail: problem, fix }];
}

function graphsCheck(hasGraphs: boolean): Check {
  const name = 'cuda graphs';
  if (hasGraphs) return { name, status: 'ok', detail: 'sampling runs its passes as graphs', fix: null };
  return {
    name,
    status: 'warning',
    detail: "the engine was built without them, because CUDA's headers were missing: sampling is slower",
    fix: 'run `selm engine install --cuda`, or put cuda_runtime_api.h and crt/ where docs/gpu.md says, then `selm engine install`',
  };
}
