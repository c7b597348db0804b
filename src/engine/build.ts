/**
 * @file Builds native/ into selm.node by CMake, tries it in a child process, and only then puts it where native.ts loads
 * it, with its record. Nothing of a build that fails reaches that place. The compiler's output is in build.log.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { EngineError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { sha256Folder } from '../files/hash.ts';
import {
  type EngineRecord,
  engineDirectory,
  GRAPHS_LIBRARY,
  libtorchVersionOf,
  NCCL_LIBRARY,
  nativeSources,
  readEngineRecord,
} from '../torch/native.ts';
import { sameFolder } from './locate.ts';
import { type Machine, requireTool, runWithLines, thisMachine } from './machine.ts';
import { probeAddon } from './probing.ts';
import { type EngineVariant, variantEnvironment } from './variants.ts';

/** Options of `buildEngine`. */
export interface BuildOptions {
  /** Sources. @default native/ of this package */
  sources?: string;
  /** Where the addon, its record and the log go. @default `$SELM_ENGINE` or build/native of this package */
  output?: string;
  /** `scratch` forgets objects compiled before. @default 'incremental' */
  mode?: 'incremental' | 'scratch';
  /** @default 'release' */
  variant?: EngineVariant;
  /** @default this machine */
  machine?: Machine;
  /** Takes progress, one line at a time. */
  log: (line: string) => void;
}

/** Why a built engine is no longer what would be built now, or null when it is. `libtorch` null: wherever it was. */
export function staleReason(
  record: EngineRecord | null,
  { sources, output, libtorch }: { sources: string; output: string; libtorch: string | null },
): string | null {
  if (record === null || !existsSync(join(output, 'selm.node'))) return 'no engine is built yet';
  if (record.sourcesSha256 !== sha256Folder(sources)) return 'the native sources changed';
  if (libtorch !== null && !sameFolder(libtorch, record.libtorchDirectory))
    return `LibTorch is now taken from ${libtorch}`;
  const version = libtorchVersionOf(record.libtorchDirectory);
  if (version === null) return `LibTorch is no longer in ${record.libtorchDirectory}`;
  return version === record.libtorchVersion ? null : `LibTorch ${record.libtorchVersion} became ${version}`;
}

/** The record of a built engine, and where its parts lie. */
export function enginePlaces(output: string = engineDirectory): {
  sources: string;
  output: string;
  record: EngineRecord | null;
} {
  return { sources: nativeSources, output, record: readEngineRecord(output) };
}

/** Builds against a LibTorch folder, tries the result, puts it in place and returns its record. Throws EngineError. */
export async function buildEngine(libtorchDirectory: string, options: BuildOptions): Promise<EngineRecord> {
  const { machine = thisMachine, log, mode = 'incremental', variant = 'release' } = options;
  const places = enginePlaces();
  const { sources = places.sources, output = places.output } = options;
  if (machine.platform !== 'linux') {
    throw new EngineError(
      'ENGINE_PLATFORM',
      `Cannot build the engine on ${machine.platform}: it runs on Linux (x86-64, arm64)`,
    );
  }
  const cmake = requireTool('cmake', 'build the engine', machine);
  const compiler = requireTool('compiler', 'build the engine', machine);
  const make = requireTool('make', 'build the engine', machine);
  // Read before the build: a file saved meanwhile makes the next run build again.
  const digest = sha256Folder(sources);
  const version = libtorchVersionOf(libtorchDirectory);
  if (version === null)
    throw new EngineError('LIBTORCH_MISSING', `Cannot build the engine: no LibTorch in ${libtorchDirectory}`);

  const work = join(output, 'cmake');
  const logFile = join(output, 'build.log');
  const settings = [
    `-DSELM_LIBTORCH=${libtorchDirectory}`,
    `-DSELM_NODE_API=${nodeHeaders()}`,
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    '-DCMAKE_BUILD_TYPE=Release',
    ...(variant === 'release' ? [] : [`-DSELM_VARIANT=${variant}`]),
  ];
  const generator = make.endsWith('ninja') ? 'Ninja' : 'Unix Makefiles';
  const key = [generator, ...settings, sources].join('\n');
  prepareWorkFolder(work, key, mode);
  writeFileSync(logFile, '');
  const step = async (name: string, args: readonly string[]) => {
    appendFileSync(logFile, `> cmake ${args.join(' ')}\n`);
    const onLine = (line: string) => {
      appendFileSync(logFile, `${line}\n`);
      const progress = /^(\[[^\]]+\]) Building CXX object .*?([^/]+)\.o$/.exec(line);
      if (progress !== null) log(`  ${progress[1]} ${progress[2]}`);
    };
    const finished = await runWithLines(cmake, args, { machine, onLine });
    if (finished.status !== 0) throw buildFailure(name, logFile, finished.stdout + finished.stderr);
  };

  const jobs = parallelJobs(availableParallelism(), { totalBytes: totalmem(), freeBytes: freemem() });
  const started = performance.now();
  log(`Building the engine against LibTorch ${version} (${jobs} at a time, minutes; output in ${logFile})`);
  await step('configure', ['-S', sources, '-B', work, '-G', generator, ...settings]);
  await step('compile', ['--build', work, '--parallel', String(jobs)]);
  const built = join(work, 'selm.node');
  const probe = probeAddon(built, {
    ...machine,
    env: { ...machine.env, ...variantEnvironment(variant, { compiler, output }) },
  });
  if (probe.kind === 'fails') {
    throw new EngineError('ENGINE_VERIFY', `Cannot use the engine just built: ${probe.message}: see ${logFile}`);
  }
  const record: EngineRecord = { formatVersion: 1, libtorchVersion: version, libtorchDirectory, sourcesSha256: digest };
  // By rename: a process that runs on the previous addon keeps its file.
  copyFileSync(built, join(output, `.selm.node.${process.pid}`));
  renameSync(join(output, `.selm.node.${process.pid}`), join(output, 'selm.node'));
  for (const part of [NCCL_LIBRARY, GRAPHS_LIBRARY]) {
    if (existsSync(join(work, part))) copyFileSync(join(work, part), join(output, part));
    else rmSync(join(output, part), { force: true });
  }
  writeFileAtomic(join(output, 'engine.json'), `${JSON.stringify(record, null, 2)}\n`);
  log(`The engine is built and tried (${Math.round((performance.now() - started) / 1000)} s)`);
  return record;
}

/** Compilers at once: LibTorch's headers take about 1.5 GB each. */
export function parallelJobs(
  cores: number,
  { totalBytes, freeBytes }: { totalBytes: number; freeBytes: number },
): number {
  const most = totalBytes < 8e9 ? 2 : cores;
  return Math.max(1, Math.min(cores, most, Math.floor(freeBytes / 1.5e9)));
}

/** The first lines of a build's output that say what is wrong. */
export function firstErrors(output: string, count = 6): string[] {
  const telling = /\berror\b|CMake Error|undefined reference|cannot find|Killed|No space left/i;
  const noise = /\bWerror\b|0 errors|-Wno-error|^\[\d+\/\d+\]|^FAILED:|^ninja:/;
  const lines = output.split('\n');
  const chosen = lines.filter((line) => telling.test(line) && !noise.test(line));
  return (chosen.length > 0 ? chosen : lines.filter((line) => line.trim() !== '').slice(-count)).slice(0, count);
}

function buildFailure(step: string, logFile: string, output: string): EngineError {
  const lines = firstErrors(output);
  const memory = /Killed|out of memory|virtual memory exhausted/i.test(lines.join('\n'));
  const fix = memory
    ? 'free memory (one compiler needs about 1.5 GB)'
    : `see ${logFile}; the previous engine, if any, is untouched`;
  return new EngineError('ENGINE_BUILD', `Cannot ${step} the engine: ${fix}:\n  ${lines.join('\n  ')}`, {
    details: { logFile },
  });
}

/** Folder of node_api.h, from the npm package of it: Node's own headers need not be installed. */
function nodeHeaders(): string {
  return join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
}

/** CMake keeps compiler, generator and LibTorch of its first run: another choice starts from nothing. */
function prepareWorkFolder(work: string, key: string, mode: 'incremental' | 'scratch'): void {
  const keyFile = join(work, 'selm-settings.txt');
  const same = existsSync(keyFile) && readFileSync(keyFile, 'utf8') === key;
  if (mode === 'scratch' || !same) rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  writeFileSync(keyFile, key);
}

/** Whether everything that a build needs is there; the error names the first that is not. */
export function requireBuildTools(machine: Machine = thisMachine): void {
  for (const tool of ['cmake', 'compiler', 'make'] as const) {
    requireTool(tool, 'build the engine', machine);
  }
}
