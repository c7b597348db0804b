/**
 * @file The native addon: its typed contract, where it lies, and its loading. Nothing else in the package touches it but
 * the files of this folder. `selm engine install` builds it (src/cli/engine.ts).
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { EngineError } from '../errors.ts';
import { errorCode } from '../files/fs.ts';
import { sha256Folder } from '../files/hash.ts';
import { packageRoot } from '../files/package-root.ts';

/** A tensor in the native handle table; 0 is never one. */
export type Handle = number;
/** What operators take and give: handles, numbers, flags, texts, lists of these; undefined means the schema's default. */
export type NativeValue = number | boolean | string | null | undefined | NativeValue[];

/** Functions of selm.node; see native/*.cc for what each does. */
export interface Native {
  resolve(name: string, overload: string): number;
  schema(operator: number): string;
  call(operator: number, ...values: NativeValue[]): NativeValue;
  version(): string;
  setGradEnabled(enabled: boolean): boolean;
  setRequiresGrad(tensor: Handle, requires: boolean): null;
  requiresGrad(tensor: Handle): boolean;
  gradient(tensor: Handle): Handle | null;
  setGradient(tensor: Handle, gradient: Handle | null): null;
  backward(outputs: Handle[], gradients: Handle[]): null;
  gradients(outputs: Handle[], inputs: Handle[], gradients: Handle[]): (Handle | null)[];
  fromBytes(
    buffer: ArrayBufferLike,
    byteOffset: number,
    byteLength: number,
    shape: readonly number[],
    dtype: number,
    device: string,
  ): Handle;
  fetchLater(tensors: Handle[]): number;
  fetched(fetch: number): Handle[];
  dropFetch(fetch: number): null;
  toBytes(tensor: Handle, buffer: ArrayBufferLike, byteOffset: number): null;
  describe(tensor: Handle): [number, string, ...number[]];
  free(tensor: Handle): boolean;
  initialise(threads: number): number;
  statistics(): [number, number, number, number, number];
  deviceMemory(device: string): [number, number] | null;
  resetPeak(device: string): null;
  failAllocation(countdown: number): null;
  openLibrary(path: string): string | null;
  openGraphs(path: string): string | null;
  beginCapture(device: string): null;
  endCapture(): number;
  giveUpCapture(): null;
  replayGraph(graph: number): null;
  dropGraph(graph: number): null;
  answerSignals(before: string, text: string): boolean;
  openStore(host: string, port: number, hosts: boolean, timeoutMs: number): Promise<number>;
  storePort(store: number): number;
  storeSet(store: number, key: string, value: Uint8Array): Promise<null>;
  storeGet(store: number, key: string): Promise<Uint8Array | null>;
  storeDelete(store: number, key: string): Promise<number>;
  storeBeat(store: number, key: string, everyMs: number): null;
  closeStore(store: number): null;
  openGroup(
    store: number,
    prefix: string,
    rank: number,
    size: number,
    networkInterface: string,
    host: string,
    timeoutMs: number,
    ncclLibrary: string,
  ): Promise<number>;
  closeGroup(group: number): null;
  groupSum(group: number, tensors: Handle[]): Promise<null>;
  groupSend(group: number, tensors: Handle[], from: number): Promise<null>;
  groupGather(group: number, input: Handle, outputs: Handle[]): Promise<null>;
  groupReduceSlices(group: number, whole: Handle, own: Handle): Promise<null>;
  groupGatherSlices(group: number, own: Handle, whole: Handle): Promise<null>;
}

/** What `selm engine install` writes beside the addon. */
export interface EngineRecord {
  formatVersion: 1;
  /** Version of LibTorch that the addon was built against. */
  libtorchVersion: string;
  /** Folder with LibTorch's include/ and lib/. */
  libtorchDirectory: string;
  /** sha256 of the native sources that were built. */
  sourcesSha256: string;
}

/** The sources of the addon; a package with a built one may come without them. */
export const nativeSources: string = join(packageRoot, 'native');
/** Folder of the built addon and its record. */
export const engineDirectory: string = process.env.SELM_ENGINE ?? join(packageRoot, 'build', 'native');

/** The engine's part for NCCL, which is built where CUDA's headers and NCCL's are (native/nccl). */
export const NCCL_LIBRARY = 'selm_nccl.so';
/** The engine's part for CUDA graphs, which is built where CUDA's headers are (native/graphs). */
export const GRAPHS_LIBRARY = 'selm_graphs.so';

const FIX = 'run `selm engine install`, then `selm doctor`';

function parseRecord(text: string): EngineRecord | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return null;
  const record = value as Record<string, unknown>;
  const complete =
    record.formatVersion === 1 &&
    typeof record.libtorchVersion === 'string' &&
    typeof record.libtorchDirectory === 'string' &&
    typeof record.sourcesSha256 === 'string';
  return complete ? (value as EngineRecord) : null;
}

/** The record of the built engine, or null when none is built (or what is there is not a record). */
export function readEngineRecord(directory: string = engineDirectory): EngineRecord | null {
  const path = join(directory, 'engine.json');
  if (!existsSync(path)) return null;
  try {
    return parseRecord(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** `2.15` of `2.15.0+cu130`. */
export function minorVersion(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

/** The version that a LibTorch folder states of itself (torch/version.py or build-version), or null. */
export function libtorchVersionOf(directory: string): string | null {
  const python = join(directory, 'version.py');
  if (existsSync(python)) return /__version__\s*=\s*'([^']+)'/.exec(readFileSync(python, 'utf8'))?.[1] ?? null;
  const archive = join(directory, 'build-version');
  return existsSync(archive) ? readFileSync(archive, 'utf8').trim() : null;
}

function load(directory: string): Native {
  const path = join(directory, 'selm.node');
  const record = readEngineRecord(directory);
  if (record === null || !existsSync(path)) {
    throw new EngineError('ENGINE_MISSING', `Cannot load the engine: nothing is built in ${directory}: ${FIX}`);
  }
  const present = libtorchVersionOf(record.libtorchDirectory);
  if (present === null) {
    throw new EngineError(
      'LIBTORCH_MISSING',
      `Cannot load the engine: no LibTorch in ${record.libtorchDirectory}: ${FIX}`,
    );
  }
  if (minorVersion(present) !== minorVersion(record.libtorchVersion)) {
    throw new EngineError(
      'LIBTORCH_VERSION',
      `Cannot load the engine: it was built against LibTorch ${record.libtorchVersion}, but ${record.libtorchDirectory} now holds ${present}: ${FIX}`,
    );
  }
  // Operators that an older addon lacks, or computes otherwise, would show only in the middle of a run.
  if (existsSync(nativeSources) && record.sourcesSha256 !== sha256Folder(nativeSources)) {
    throw new EngineError(
      'ENGINE_STALE',
      `Cannot load the engine in ${directory}: it was built from other sources than those in ${nativeSources}: ${FIX}`,
    );
  }
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    if (errorCode(cause) === 'SELM_SECOND_THREAD') {
      throw new EngineError(
        'ENGINE_THREAD',
        'Cannot use the engine in a second thread of this process: it belongs to the thread that loaded it first (a reward function runs in a thread of its own): compute in that thread, or start a process (child_process.fork)',
        { cause },
      );
    }
    throw new EngineError(
      'ENGINE_LOAD',
      `Cannot load the engine ${path}: ${cause instanceof Error ? cause.message : cause}: ${FIX}`,
      {
        cause,
      },
    );
  }
}

let loaded: Native | null = null;
let threads = 0;

/** The addon, loaded and set up at the first use; EngineError when there is none, or it fits another LibTorch. */
export function native(): Native {
  if (loaded === null) {
    // Threads that wait spin for a moment, then sleep: beside other work, spinning ones would take the cores that the
    // others need to finish (docs/LOG.md). LibTorch's OpenMP reads this once, when it is loaded.
    process.env.GOMP_SPINCOUNT ??= '20000';
    loaded = load(engineDirectory);
    threads = loaded.initialise(Number(process.env.SELM_THREADS ?? 0));
  }
  return loaded;
}

/** Version of LibTorch that the engine was built against. */
export function engineVersion(): string {
  return native().version();
}

/** Sets the number of compute threads (before heavy work starts); returns how many are used. */
export function setThreads(count: number): number {
  threads = native().initialise(count);
  return threads;
}

/** The number of compute threads. */
export function threadCount(): number {
  native();
  return threads;
}
