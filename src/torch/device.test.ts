import { describe, expect, it } from 'vitest';
import { explainCuda } from './cuda-problems.ts';
import { chooseDevice, type DeviceMachine } from './device.ts';
import { cardOf, type Gpu, readGpus } from './gpus.ts';

const H100 = '0, NVIDIA H100 80GB HBM3, 580.65.06, 81559, 81037, 9.0';
const T4 = '1, Tesla T4, 580.65.06, 15360, 14917, 7.5';
const answer = (stdout: string, status = 0) => readGpus({ status, stdout, stderr: '' });

describe('an answer of nvidia-smi', () => {
  it('lists cards with their memory in bytes and what they can compute', () => {
    expect(answer(`${H100}\n${T4}\n`)).toEqual({
      kind: 'cards',
      cards: [
        {
          index: 0,
          name: 'NVIDIA H100 80GB HBM3',
          driver: '580.65.06',
          memoryBytes: 81559 * 2 ** 20,
          freeBytes: 81037 * 2 ** 20,
          computeCapability: 9,
        },
        expect.objectContaining({ index: 1, name: 'Tesla T4', computeCapability: 7.5 }),
      ],
    });
  });

  it.each([
    [
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
      9,
      'modprobe nvidia',
    ],
    [
      'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.65',
      18,
      'restart the machine',
    ],
    ['No devices were found', 6, 'lspci'],
    ['Failed to initialize NVML: Unknown Error', 255, 'start the container again'],
    ['Field "compute_cap" is not a valid field to query.', 2, 'driver 580 or newer'],
    ['something new', 3, 'mend what it says'],
  ])('%s has its fix', (stdout, status, fix) => {
    expect(answer(stdout, status)).toMatchObject({ kind: 'no answer', fix: expect.stringContaining(fix) });
  });

  it('is none where the program is missing', () => {
    expect(readGpus(null)).toEqual({ kind: 'no driver' });
  });

  it('names the card of a device, also behind CUDA_VISIBLE_DEVICES', () => {
    const found = answer(`${H100}\n${T4}`);
    const cards: Gpu[] = found.kind === 'cards' ? found.cards : [];
    expect(cardOf('cuda', cards, undefined)?.index).toBe(0);
    expect(cardOf('cuda:1', cards, undefined)?.name).toBe('Tesla T4');
    expect(cardOf('cuda', cards, '1')?.name).toBe('Tesla T4');
    expect(cardOf('cuda:3', cards, undefined)).toBeNull();
    expect(cardOf('cuda', cards, 'GPU-5a9f')).toBeNull();
  });
});

const machine = (problem: string | null, cards = H100): DeviceMachine => ({
  problem: () => problem,
  gpus: () => answer(cards),
});

describe('a device', () => {
  it.each([
    [
      'no CUDA half',
      'libtorch_cuda.so: cannot open shared object file: No such file or directory',
      'has no CUDA half',
      'selm engine install --cuda',
    ],
    [
      'no cuDNN',
      'libcudnn.so.9: cannot open shared object file: No such file or directory',
      'needs libcudnn.so.9',
      'selm engine install --cuda',
    ],
    [
      'no driver',
      'Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU',
      'no NVIDIA driver',
      'install one',
    ],
    [
      'an old driver',
      'The NVIDIA driver on your system is too old (found version 11040). Please update',
      'knows CUDA 11.4 at most',
      'driver 580',
    ],
    [
      'a driver older than the runtime',
      'CUDA driver version is insufficient for CUDA runtime version',
      'too old',
      'driver 580',
    ],
    [
      'cuda:3 of one card',
      'CUDA error: invalid device ordinal\nCUDA kernel errors might be',
      'no card of that number',
      'count from 0',
    ],
    ['hidden cards', 'CUDA error: no CUDA-capable device is detected', 'CUDA_VISIBLE_DEVICES', 'nvidia-smi'],
    [
      'an old card',
      'CUDA error: no kernel image is available for execution on the device',
      'not built for',
      '7.5 or more',
    ],
    ['a full card', 'CUDA error: out of memory', 'memory is full', 'end the other programs'],
    ['news', 'CUDA error: the moon is full\nmore', 'the moon is full', 'selm doctor'],
  ])('that cannot compute for %s is refused with the fix', (_, message, problem, fix) => {
    const refused = (): unknown => chooseDevice({ device: 'cuda:3' }, machine(message));
    expect(refused).toThrow(problem);
    expect(refused).toThrow(fix);
    expect(refused).toThrow('Cannot compute on cuda:3: ');
    expect(explainCuda(message).problem).not.toContain('\n');
  });

  it('auto is a GPU that works, else the CPU, and says which', () => {
    expect(chooseDevice({ device: 'auto' }, machine(null))).toEqual({
      device: 'cuda',
      note: 'device auto is cuda here: NVIDIA H100 80GB HBM3',
    });
    expect(chooseDevice({ device: 'auto' }, machine('Found no NVIDIA driver on your system'))).toEqual({
      device: 'cpu',
      note: 'device auto is the CPU here: there is no NVIDIA driver on this machine',
    });
    expect(chooseDevice({ device: 'cpu' }, machine('never asked'))).toEqual({ device: 'cpu', note: null });
  });

  it('without bf16 is refused for products in bf16, with what works', () => {
    const card = machine(null, T4.replace('1,', '0,'));
    expect(() => chooseDevice({ device: 'cuda', dtypes: ['float32', 'bfloat16'] }, card)).toThrow(
      'Cannot compute in bfloat16 on cuda: Tesla T4 has compute capability 7.5, and bfloat16 needs 8.0 (Ampere) or more: compute in float32',
    );
    expect(chooseDevice({ device: 'cuda', dtypes: ['float32'] }, card).device).toBe('cuda');
  });
});
