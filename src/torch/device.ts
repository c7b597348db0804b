/**
 * @file Devices other than the CPU: whether this machine's LibTorch can compute there. CUDA's half of LibTorch is not linked
 * to the addon; it is brought in when a device asks for it.
 */
import { join } from 'node:path';
import { EngineError } from '../errors.ts';
import { explainCuda } from './cuda-problems.ts';
import { askGpus, cardOf, type GpuAnswer, hasBfloat16 } from './gpus.ts';
import { native, readEngineRecord } from './native.ts';
import { zeros } from './ops.ts';
import { scope, toFloat32Array } from './tensor.ts';

/** What is asked of a machine; handed in, so that tests can give its answers. */
export interface DeviceMachine {
  /** What keeps a tensor from being made and read on a device, in LibTorch's words; null where nothing does. */
  problem(device: string): string | null;
  gpus(): GpuAnswer;
}

const thisMachine: DeviceMachine = { problem: deviceProblem, gpus: askGpus };

/** Where a recipe is to be computed, and in which types of products. */
export interface DeviceWish {
  /** `cpu`, `cuda`, `cuda:1` ..., or `auto`: a GPU that works, else the CPU. */
  device: string;
  dtypes?: readonly string[];
}

/**
 * The device that is computed on, and what to say of it. Throws EngineError DEVICE_UNAVAILABLE where the one that was named
 * cannot compute, and DEVICE_BFLOAT16 where its card does not multiply bf16.
 */
export function chooseDevice(
  { device, dtypes = [] }: DeviceWish,
  machine = thisMachine,
): { device: string; note: string | null } {
  if (device === 'cpu') return { device, note: null };
  const isAuto = device === 'auto';
  const wanted = isAuto ? 'cuda' : device;
  const message = machine.problem(wanted);
  if (message !== null) {
    const { problem, fix } = explainCuda(message);
    if (isAuto) return { device: 'cpu', note: `device auto is the CPU here: ${problem}` };
    throw new EngineError('DEVICE_UNAVAILABLE', `Cannot compute on ${device}: ${problem}: ${fix}`, {
      details: { device, problem: message },
    });
  }
  const answer = machine.gpus();
  const card = answer.kind === 'cards' ? cardOf(wanted, answer.cards) : null;
  if (card !== null && !hasBfloat16(card) && dtypes.includes('bfloat16')) {
    throw new EngineError(
      'DEVICE_BFLOAT16',
      `Cannot compute in bfloat16 on ${wanted}: ${card.name} has compute capability ${card.computeCapability?.toFixed(1)}, and bfloat16 needs 8.0 (Ampere) or more: compute in float32 (training.dtype, training.states, sampling.dtype, the dtype of a ranker; --dtype)`,
      { details: { device: wanted, card: card.name, computeCapability: card.computeCapability ?? Number.NaN } },
    );
  }
  return {
    device: wanted,
    note: isAuto ? `device auto is ${wanted} here${card === null ? '' : `: ${card.name}`}` : null,
  };
}

/** Throws EngineError DEVICE_UNAVAILABLE when nothing can be computed on `device` (`cpu`, `cuda`, `cuda:1` ...). */
export function requireDevice(device: string): void {
  chooseDevice({ device });
}

/** Brings CUDA's half in, makes a tensor there and reads it. */
function deviceProblem(device: string): string | null {
  const directory = readEngineRecord()?.libtorchDirectory ?? '';
  return native().openLibrary(join(directory, 'lib', 'libtorch_cuda.so')) ?? firstTensorProblem(device);
}

function firstTensorProblem(device: string): string | null {
  try {
    scope('try a device', () => void toFloat32Array(zeros([1], { device })));
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
