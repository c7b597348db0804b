/**
 * @file The NVIDIA cards of this machine, as their driver's own program names them. Reading its answers is pure; only
 * `askGpus` starts it.
 */
import { spawnSync } from 'node:child_process';

/** A card. */
export interface Gpu {
  index: number;
  name: string;
  driver: string;
  memoryBytes: number;
  freeBytes: number;
  /** `9.0` as 9; null where the driver is too old to say. */
  computeCapability: number | null;
}

/** Cards, or why there are none: no driver at all, or one that gives no answer, with what to do. */
export type GpuAnswer =
  | { kind: 'cards'; cards: Gpu[] }
  | { kind: 'no driver' }
  | { kind: 'no answer'; problem: string; fix: string };

/** Cards of Ampere and later multiply bf16. */
const BFLOAT16_CAPABILITY = 8;
/** What nvidia-smi is asked. */
export const GPU_QUERY = [
  '--query-gpu=index,name,driver_version,memory.total,memory.free,compute_cap',
  '--format=csv,noheader,nounits',
];
const MEBIBYTE = 2 ** 20;

/** How nvidia-smi ended; null where there is none on PATH. */
export interface SmiEnd {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Asks nvidia-smi. Never throws. */
export function askGpus(): GpuAnswer {
  const ended = spawnSync('nvidia-smi', GPU_QUERY, { encoding: 'utf8', timeout: 20_000 });
  const isMissing = ended.error !== undefined && 'code' in ended.error && ended.error.code === 'ENOENT';
  return readGpus(isMissing ? null : { status: ended.status, stdout: ended.stdout ?? '', stderr: ended.stderr ?? '' });
}

/** What an answer of nvidia-smi says. */
export function readGpus(end: SmiEnd | null): GpuAnswer {
  if (end === null) return { kind: 'no driver' };
  const text = `${end.stdout}\n${end.stderr}`;
  const known = FAILURES.find(({ pattern }) => pattern.test(text));
  if (known !== undefined) return { kind: 'no answer', problem: known.problem, fix: known.fix };
  const cards = end.stdout.trim().split('\n').flatMap(readCard);
  if (end.status === 0 && cards.length > 0) return { kind: 'cards', cards };
  const first = text.trim().split('\n')[0] ?? '';
  return {
    kind: 'no answer',
    problem: `nvidia-smi ended with status ${end.status}${first === '' ? '' : `: ${first}`}`,
    fix: 'run `nvidia-smi` and mend what it says',
  };
}

const FAILURES: readonly { pattern: RegExp; problem: string; fix: string }[] = [
  {
    pattern: /couldn't communicate with the NVIDIA driver/,
    problem: "the NVIDIA driver's program is there, and its kernel module is not loaded",
    fix: 'load it (`sudo modprobe nvidia`), or install the driver again for the kernel that runs now; in a container start it with --gpus all',
  },
  {
    pattern: /Driver\/library version mismatch/,
    problem: 'the NVIDIA driver was updated, and the old one is still loaded',
    fix: 'restart the machine',
  },
  {
    pattern: /No devices were found/,
    problem: 'the NVIDIA driver finds no card',
    fix: 'look for the card with `lspci`, and for its errors with `dmesg`',
  },
  {
    pattern: /Failed to initialize NVML: Unknown Error/,
    problem: 'this container has lost its access to the cards',
    fix: 'start the container again',
  },
  {
    pattern: /Field "compute_cap" is not a valid field/,
    problem: 'the NVIDIA driver is too old to say what its cards can compute',
    fix: 'install NVIDIA driver 580 or newer',
  },
];

function readCard(line: string): Gpu[] {
  const [index = '', name = '', driver = '', total = '', free = '', capability = ''] = line
    .split(',')
    .map((each) => each.trim());
  if (!/^\d+$/.test(index)) return [];
  const number = Number.parseFloat(capability);
  return [
    {
      index: Number(index),
      name,
      driver,
      // Where a card shares the machine's memory, nvidia-smi says [N/A].
      memoryBytes: Number.parseFloat(total) * MEBIBYTE || 0,
      freeBytes: Number.parseFloat(free) * MEBIBYTE || 0,
      computeCapability: Number.isNaN(number) ? null : number,
    },
  ];
}

/** The card that a device names among those that this process may see; null where that cannot be told. */
export function cardOf(device: string, cards: readonly Gpu[], visible = process.env.CUDA_VISIBLE_DEVICES): Gpu | null {
  const place = Number(device.split(':')[1] ?? 0);
  if (visible === undefined) return cards.find(({ index }) => index === place) ?? null;
  const named = visible.split(',')[place]?.trim() ?? '';
  return /^\d+$/.test(named) ? (cards.find(({ index }) => index === Number(named)) ?? null) : null;
}

const memories = new Map<string, number | null>();

/** Bytes of memory that the card of a device has, asked for once; null where that cannot be told. */
export function cardMemory(device: string): number | null {
  const known = memories.get(device);
  if (known !== undefined) return known;
  const answer = askGpus();
  const bytes = (answer.kind === 'cards' ? cardOf(device, answer.cards) : null)?.memoryBytes || null;
  memories.set(device, bytes);
  return bytes;
}

/** Bytes that are free now on the card of a device, beside what this process keeps for reuse; 0 where that cannot be told. */
export function freeCardMemory(device: string): number {
  const answer = askGpus();
  return (answer.kind === 'cards' ? cardOf(device, answer.cards) : null)?.freeBytes ?? 0;
}

/** Whether a card multiplies bf16; true where that cannot be told. */
export function hasBfloat16({ computeCapability }: Gpu): boolean {
  return computeCapability === null || computeCapability >= BFLOAT16_CAPABILITY;
}
