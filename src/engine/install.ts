/**
 * @file `selm engine install`: finds LibTorch or fetches it, and puts an addon beside it: the one of an installed package, or one that
 * it builds. Run again at any time; a second run returns at once.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, RunError } from '../errors.ts';
import { acquireLock, type Lock } from '../files/lock.ts';
import type { EngineRecord } from '../torch/native.ts';
import { buildEngine, enginePlaces, requireBuildTools, staleReason } from './build.ts';
import { cudaHalf } from './cuda.ts';
import { fetchLibtorch } from './fetch.ts';
import { type Candidate, choices, judge, library, locateLibtorch } from './locate.ts';
import { type Machine, thisMachine } from './machine.ts';
import { findPrebuilt, type Prebuilt, placePrebuilt, prebuiltProblem } from './prebuilt.ts';
import { probeLibrary } from './probing.ts';
import { type EngineVariant, variantFolder } from './variants.ts';

/** Options of `installEngine`. */
export interface InstallOptions {
  /** A wheel, a folder of wheels, or a folder that is a LibTorch (used where it lies). */
  from?: string;
  /** Package index in place of the one that pip is configured with. */
  indexUrl?: string;
  /** `cuda` wants a LibTorch with its libraries for GPUs, and fetches them where none is in sight. @default 'cpu' */
  half?: 'cpu' | 'cuda';
  /** `always` compiles everything again. @default 'when-changed' */
  rebuild?: 'when-changed' | 'always';
  /** @default 'release' */
  variant?: EngineVariant;
  /** Where the engine is built. @default the variant's folder; of a release `$SELM_ENGINE` or build/native of this package */
  output?: string;
  /** @default this machine */
  machine?: Machine;
  /** Takes progress, one line at a time. */
  log: (line: string) => void;
}

/** What `installEngine` did; `placed`: an engine that a package brought. */
export interface Installed {
  outcome: 'kept' | 'built' | 'placed';
  record: EngineRecord;
}

/** Makes sure that an engine is built from the present sources against a usable LibTorch. Throws EngineError. */
export async function installEngine(options: InstallOptions): Promise<Installed> {
  const { machine = thisMachine, log, rebuild = 'when-changed', variant = 'release' } = options;
  const { sources, output, record } = enginePlaces(options.output ?? variantFolder(variant));
  const named = machine.env.LIBTORCH ? judge('LIBTORCH', machine.env.LIBTORCH) : null;
  const hasHalf = (directory: string): boolean => options.half !== 'cuda' || cudaHalf(directory) !== null;
  if (
    rebuild === 'when-changed' &&
    options.from === undefined &&
    record !== null &&
    hasHalf(record.libtorchDirectory)
  ) {
    if (staleReason(record, { sources, output, libtorch: named?.directory ?? null }) === null)
      return { outcome: 'kept', record };
  }
  const prebuilt = rebuild === 'always' || variant !== 'release' ? null : usablePrebuilt(machine, { sources, log });
  if (prebuilt === null) requireBuildTools(machine);
  mkdirSync(output, { recursive: true });
  using _lock = lockBuild(output);
  const directory = await obtainLibtorch(options, { machine, builtAgainst: record?.libtorchDirectory ?? null });
  // Another process may have built it while this one waited for LibTorch.
  const current = enginePlaces(output).record;
  const stale = staleReason(current, { sources, output, libtorch: directory });

  if (rebuild === 'when-changed' && stale === null && current !== null) return { outcome: 'kept', record: current };
  if (prebuilt !== null) {
    const placed = placePrebuilt(prebuilt, { libtorch: directory, output, machine, log });
    if (placed !== null) return { outcome: 'placed', record: placed };
    requireBuildTools(machine);
  }
  log(`The engine must be built: ${stale ?? 'asked for'}`);
  const mode = rebuild === 'always' ? 'scratch' : 'incremental';
  return { outcome: 'built', record: await buildEngine(directory, { machine, log, mode, output, variant }) };
}

/** The engine that a package brought, where it is of these sources. */
function usablePrebuilt(
  machine: Machine,
  { sources, log }: { sources: string; log: (line: string) => void },
): Prebuilt | null {
  const found = findPrebuilt(machine);
  const problem = found === null ? null : prebuiltProblem(found, sources);
  if (found === null || problem === null) return found;
  log(`${found.name} is skipped: ${problem}`);
  return null;
}

/** A LibTorch that loads: what was given, else the first in sight, else a fresh copy in the cache. */
async function obtainLibtorch(
  options: InstallOptions,
  { machine, builtAgainst }: { machine: Machine; builtAgainst: string | null },
): Promise<string> {
  const { from, indexUrl, half = 'cpu', log } = options;
  const fetch = { machine, log, half, ...(indexUrl === undefined ? {} : { indexUrl }) };
  if (from !== undefined) {
    const given = judge('given', from);
    // A folder without headers and libraries may still hold wheels.
    return given.version === null ? fetchLibtorch({ ...fetch, from }) : loading(given, { machine, half });
  }
  const inSight = choices(locateLibtorch(machine), builtAgainst);
  for (const candidate of inSight) {
    if (candidate.source === 'LIBTORCH') return loading(candidate, { machine, half });
    if (half === 'cuda' && cudaHalf(candidate.directory) === null) continue;
    const probe = probeLibrary(library(candidate.directory), machine);
    if (probe.kind === 'loads') return candidate.directory;
    log(`LibTorch in ${candidate.directory} is skipped: it does not load: ${probe.message}`);
  }
  return fetchLibtorch(fetch);
}

/** The folder of a LibTorch that the user named: it is used or refused, never passed over. */
function loading(
  { source, directory, version, verdict }: Candidate,
  { machine, half }: { machine: Machine; half: 'cpu' | 'cuda' },
): string {
  const name = source === 'LIBTORCH' ? `$LIBTORCH (${directory})` : directory;
  const refuse = (reason: string) =>
    new EngineError(
      'LIBTORCH_UNUSABLE',
      `Cannot use LibTorch ${version ?? ''} in ${name}: ${reason}`.replace('  ', ' '),
    );
  if (verdict.kind === 'unusable') throw refuse(verdict.reason);
  if (half === 'cuda' && cudaHalf(directory) === null)
    throw refuse('it has no lib/libtorch_cuda.so: take a CUDA build');
  const probe = probeLibrary(library(directory), machine);
  if (probe.kind === 'fails') throw refuse(`it does not load: ${probe.message}`);
  return directory;
}

function lockBuild(output: string): Lock {
  try {
    return acquireLock(join(output, 'build.lock'));
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    throw new EngineError(
      'ENGINE_BUSY',
      `Cannot build the engine in ${output}: another process is building it: wait for it and run this again`,
      {
        cause: error,
      },
    );
  }
}
