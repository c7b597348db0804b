/**
 * @file Recognises why CUDA cannot compute, from the messages of LibTorch, of the driver, or of the loader of
 * libraries. Each reason has its one fix. Pure.
 */

/** A problem in our words, and its fix. */
export interface CudaProblem {
  problem: string;
  fix: string;
}

const CPU = 'or set device to cpu';

const KNOWN: readonly { pattern: RegExp; problem: (found: RegExpExecArray) => string; fix: string }[] = [
  {
    pattern: /lib(torch_cuda|c10_cuda)\.so: cannot open shared object file/,
    problem: () => 'this LibTorch has no CUDA half: it was fetched for the CPU',
    fix: `run \`selm engine install --cuda\`, ${CPU}`,
  },
  {
    pattern: /(lib(?:cu|nccl|nv)[a-zA-Z_]*\.so[.\d]*): cannot open shared object file/,
    problem: ([, library]) => `LibTorch's CUDA half needs ${library}, which is not there`,
    fix: `run \`selm engine install --cuda\`, ${CPU}`,
  },
  {
    pattern: /Found no NVIDIA driver/,
    problem: () => 'there is no NVIDIA driver on this machine',
    fix: `install one (https://www.nvidia.com/drivers); in a container start it with --gpus all; ${CPU}`,
  },
  {
    pattern:
      /driver on your system is too old(?: \(found version (\d+)\))?|driver version is insufficient for CUDA runtime/,
    problem: ([, version]) =>
      version === undefined
        ? 'the NVIDIA driver is too old for this LibTorch'
        : `the NVIDIA driver knows CUDA ${cudaVersion(version)} at most, too old for this LibTorch`,
    fix: `install NVIDIA driver 580 or newer, ${CPU}`,
  },
  {
    pattern: /invalid device ordinal|device index .* (?:out of range|must be)/i,
    problem: () => 'there is no card of that number',
    fix: `count from 0 among those that \`nvidia-smi\` lists (CUDA_VISIBLE_DEVICES hides some), ${CPU}`,
  },
  {
    pattern: /no CUDA-capable device is detected|No CUDA GPUs are available/,
    problem: () => 'the NVIDIA driver finds no card, or CUDA_VISIBLE_DEVICES hides all of them',
    fix: `look at \`nvidia-smi\` and CUDA_VISIBLE_DEVICES, ${CPU}`,
  },
  {
    pattern: /no kernel image is available/,
    problem: () => 'the card is of a kind that this LibTorch was not built for',
    fix: `use a card of compute capability 7.5 or more, ${CPU}`,
  },
  {
    pattern: /out of memory/i,
    problem: () => 'its memory is full before anything has begun',
    fix: `end the other programs on it (\`nvidia-smi\` lists them), ${CPU}`,
  },
];

/** `11.4` of 11040. */
function cudaVersion(version: string): string {
  const number = Number(version);
  return `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
}

/** What a message means; its first line where it is none that we know. */
export function explainCuda(message: string): CudaProblem {
  for (const { pattern, problem, fix } of KNOWN) {
    const found = pattern.exec(message);
    if (found !== null) return { problem: problem(found), fix };
  }
  return { problem: message.split('\n')[0] ?? '', fix: `run \`selm doctor\`, ${CPU}` };
}
