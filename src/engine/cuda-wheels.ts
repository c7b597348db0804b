/**
 * @file The libraries that CUDA's half of LibTorch needs: those that PyPI's wheel `torch` names as its requirements.
 * pip says which files these are, and the index says how large they are before any of them is fetched.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { EngineError } from '../errors.ts';
import { gigabytes, type Machine, run } from './machine.ts';

/** A wheel that pip would fetch. */
export interface PlannedWheel {
  name: string;
  version: string;
  url: string;
  /** Null where the index does not say. */
  bytes: number | null;
}

/**
 * Requirements of a wheel's METADATA that are NVIDIA's libraries: `cuda-toolkit[cublas,...]==13.2.2`, `nvidia-...==...`, and with the toolkit
 * the headers that its runtime's need (crt: 0.1 MB), for graphs (native/graphs). Python's own packages, and those of its compilers, are none.
 */
export function cudaRequirements(metadata: string): string[] {
  return metadata.split('\n').flatMap((line) => {
    const found = /^Requires-Dist:\s*((?:cuda-toolkit|nvidia-)[^;]*?)\s*(?:;(.*))?$/.exec(line);
    const [, requirement, marker = ''] = found ?? [];
    // An extra is what somebody else asks for.
    if (requirement === undefined || /\bextra\s*==/.test(marker)) return [];
    return [requirement.replaceAll(' ', '').replace(/^(cuda-toolkit\[[^\]]*)\]/, '$1,crt]')];
  });
}

const reportSchema = z.object({
  install: z.array(
    z.object({
      download_info: z.object({ url: z.string() }),
      metadata: z.object({ name: z.string(), version: z.string() }),
    }),
  ),
});

/** Wheels of `pip install --dry-run --report`; throws for what is no such report. */
export function readPipReport(text: string): Omit<PlannedWheel, 'bytes'>[] {
  return reportSchema
    .parse(JSON.parse(text))
    .install.map(({ download_info: { url }, metadata: { name, version } }) => ({ name, version, url }));
}

/** Asks pip which wheels satisfy requirements, and the index for their sizes. Fetches none. */
export async function planCudaWheels(
  requirements: readonly string[],
  {
    python,
    folder,
    pipOptions,
    machine,
  }: { python: string; folder: string; pipOptions: readonly string[]; machine: Machine },
): Promise<PlannedWheel[]> {
  const path = join(folder, 'report.json');
  const asked = ['-m', 'pip', 'install', '--dry-run', '--ignore-installed', '--only-binary=:all:', '--report', path];
  const { status, stderr } = run(python, [...asked, ...pipOptions, ...requirements], { machine, timeoutMs: 600_000 });
  if (status !== 0) {
    const reason = stderr.split('\n').findLast((line) => line.startsWith('ERROR')) ?? stderr.trim();
    throw new EngineError(
      'LIBTORCH_DOWNLOAD',
      `Cannot find ${requirements.join(', ')} by pip: ${reason.slice(0, 500)}: check the network or pass --index-url`,
      { details: { stderr } },
    );
  }
  const wheels = readPipReport(readFileSync(path, 'utf8'));
  return Promise.all(wheels.map(async (wheel) => ({ ...wheel, bytes: await sizeOf(wheel.url) })));
}

async function sizeOf(url: string): Promise<number | null> {
  if (!/^https?:/.test(url)) return null;
  try {
    const { headers } = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(20_000) });
    const length = Number(headers.get('content-length') ?? Number.NaN);
    return Number.isFinite(length) && length > 0 ? length : null;
  } catch {
    return null; // only a number that is shown
  }
}

/** What will be fetched, as a line each, the largest first, and together. */
export function describeWheels(wheels: readonly PlannedWheel[]): string[] {
  const size = (bytes: number | null): string => (bytes === null ? 'of unknown size' : gigabytes(bytes));
  const sorted = wheels.toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0));
  return [
    `CUDA's half of LibTorch needs ${wheels.length} wheels, ${size(totalBytes(wheels))} to fetch:`,
    ...sorted.map(({ name, version, bytes }) => `  ${name} ${version}, ${size(bytes)}`),
  ];
}

/** Bytes of all whose size is known; null where none is. */
export function totalBytes(wheels: readonly PlannedWheel[]): number | null {
  const known = wheels.flatMap(({ bytes }) => bytes ?? []);
  return known.length === 0 ? null : known.reduce((sum, bytes) => sum + bytes, 0);
}
