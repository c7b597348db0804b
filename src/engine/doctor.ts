/**
 * @file `selm doctor`: checks everything that selm depends on, and says for each part whether it works and what to do if it
 * does not. Native code is loaded in child processes only: this works when nothing is installed or something is broken.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../files/package-root.ts';
import { sqlitePackage } from '../files/sqlite.ts';
import { GPU_QUERY, readGpus } from '../torch/gpus.ts';
import { engineDirectory, GRAPHS_LIBRARY, nativeSources, readEngineRecord } from '../torch/native.ts';
import { staleReason } from './build.ts';
import type { Check, CheckStatus } from './checks.ts';
import { checkGpus, cudaHalf } from './cuda.ts';
import { type Candidate, compareVersions, DEFAULT_VERSION, libtorchCache, locateLibtorch } from './locate.ts';
import {
  findProgram,
  findTool,
  freeBytes,
  gigabytes,
  installLine,
  type Machine,
  run,
  type Tool,
  thisMachine,
} from './machine.ts';
import { type Probe, probeAddon, probeCuda, probePackage } from './probing.ts';

/** Report of `selm doctor`; `--json` prints it. */
export interface DoctorReport {
  formatVersion: 1;
  /** `problem` when at least one check is one: selm will not work. */
  status: CheckStatus;
  checks: Check[];
}

/** Options of `diagnose`, for tests. */
export interface DoctorOptions {
  /** @default this machine */
  machine?: Machine;
  /** Folder of the built engine. @default `$SELM_ENGINE` or build/native of this package */
  engine?: string;
  /** The Node that is judged. @default the running one */
  nodeVersion?: string;
}

const NODE_FLOOR = '20.19';
const ENGINE_FIX = 'run `selm engine install`';

/** Looks at everything. Never throws for what it finds. */
export function diagnose(options: DoctorOptions = {}): DoctorReport {
  const { machine = thisMachine, engine = engineDirectory, nodeVersion = process.versions.node } = options;
  const engineChecks = checkEngine(engine, machine);
  const works = engineChecks.every((check) => check.status !== 'problem');
  const checks = [
    checkNode(nodeVersion),
    ok('selm', `${packageVersion()} in ${packageRoot}`),
    checkPlatform(machine),
    ...checkTools(works ? 'warning' : 'problem', machine),
    ...checkDisk(machine),
    checkMemory(),
    ok('cores', `${availableParallelism()}`),
    checkCpu(machine),
    ...checkCuda(engine, machine),
    ...locateLibtorch(machine).map((candidate) => checkCandidate(candidate)),
    ...engineChecks,
    ...['tokenizers', sqlitePackage()].map((name) => checkPackage(name, probePackage(name, machine))),
  ];
  return { formatVersion: 1, status: worst(checks), checks };
}

/** The report for a terminal: one line a check, its fix below it. */
export function formatReport(report: DoctorReport): string {
  const width = Math.max(...report.checks.map((check) => check.name.length));
  const lines = report.checks.flatMap(({ name, status, detail, fix }) => [
    `${status.padEnd(7)}  ${name.padEnd(width)}  ${detail}`,
    ...(fix === null ? [] : [`${' '.repeat(9 + width)}  fix: ${fix}`]),
  ]);
  const count = (status: CheckStatus) => report.checks.filter((check) => check.status === status).length;
  const plural = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
  return [...lines, `${plural(count('problem'), 'problem')}, ${plural(count('warning'), 'warning')}`].join('\n');
}

function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, fix: null };
}

function worst(checks: readonly Check[]): CheckStatus {
  const order: CheckStatus[] = ['problem', 'warning'];
  return order.find((status) => checks.some((check) => check.status === status)) ?? 'ok';
}

function checkNode(version: string): Check {
  if (compareVersions(version, NODE_FLOOR) >= 0) return ok('node', version);
  return {
    name: 'node',
    status: 'problem',
    detail: version,
    fix: `install Node ${NODE_FLOOR} or newer (https://nodejs.org)`,
  };
}

function checkPlatform({ platform, arch }: Machine): Check {
  const detail = `${platform} ${arch}`;
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return ok('platform', detail);
  return {
    name: 'platform',
    status: 'problem',
    detail,
    fix: 'run on Linux, x86-64 or arm64: the engine is built for these',
  };
}

/** Tools are needed to build the engine only: one that is missing hardly matters when it works already. */
function checkTools(whenMissing: CheckStatus, machine: Machine): Check[] {
  const checks = (['compiler', 'cmake', 'make', 'python3'] as const).map((tool) => {
    const path = findTool(tool, machine);
    return path === null
      ? missing(tool, whenMissing, machine)
      : ok(tool, `${firstLine(path, ['--version'], machine)} (${path})`);
  });
  const python = findTool('python3', machine);
  if (python === null) return checks;
  const pip = run(python, ['-m', 'pip', '--version'], { machine, timeoutMs: 20_000 });
  if (pip.status !== 0) return [...checks, missing('pip', whenMissing, machine)];
  return [...checks, ok('pip', pip.stdout.trim())];
}

function missing(tool: Tool, status: CheckStatus, machine: Machine): Check {
  return { name: tool, status, detail: 'not found (the engine is built with it)', fix: installLine(tool, machine) };
}

function firstLine(program: string, args: readonly string[], machine: Machine): string {
  return run(program, args, { machine, timeoutMs: 20_000 }).stdout.split('\n')[0]?.trim() ?? '';
}

function checkDisk(machine: Machine): Check[] {
  const places: [string, string][] = [
    ['disk (cache)', libtorchCache(machine)],
    ['disk (here)', process.cwd()],
  ];
  return places.map(([name, path]) => {
    const free = freeBytes(path);
    if (free === null) return { name, status: 'warning', detail: `free space of ${path} is unknown`, fix: null };
    const detail = `${gigabytes(free)} free for ${path}`;
    return free >= 2.5e9
      ? ok(name, detail)
      : { name, status: 'warning', detail, fix: 'free space: 2.5 GB are needed for LibTorch' };
  });
}

function checkMemory(): Check {
  const detail = `${gigabytes(totalmem())}, ${gigabytes(freemem())} free`;
  if (totalmem() >= 4e9) return ok('memory', detail);
  return {
    name: 'memory',
    status: 'warning',
    detail,
    fix: 'use a machine with 4 GB or more: the compiler alone takes 1.5 GB',
  };
}

/** Where the CPU has no bfloat16 arithmetic, products are widened to float32 and rounded: no faster than float32. */
function checkCpu(machine: Machine): Check {
  const flags = cpuFlags(machine);
  if (flags === null) return ok('cpu', `bfloat16 support is unknown on ${machine.platform}`);
  const found = ['amx_bf16', 'avx512_bf16', 'bf16'].filter((flag) => flags.has(flag));
  if (found.length > 0) return ok('cpu', `computes in bfloat16 (${found.join(', ')})`);
  return {
    name: 'cpu',
    status: 'warning',
    detail: 'no bfloat16 arithmetic',
    fix: 'keep `training.dtype: float32`: bfloat16 only saves memory here',
  };
}

function cpuFlags({ platform }: Machine): Set<string> | null {
  if (platform !== 'linux' || !existsSync('/proc/cpuinfo')) return null;
  const line = readFileSync('/proc/cpuinfo', 'utf8')
    .split('\n')
    .find((each) => /^(flags|Features)\s*:/.test(each));
  return line === undefined ? null : new Set(line.split(':')[1]?.trim().split(/\s+/));
}

/** The driver's program is asked through the machine's own PATH; CUDA is tried with the engine that is built. */
function checkCuda(engine: string, machine: Machine): Check[] {
  const program = findProgram(['nvidia-smi'], machine);
  const answer = readGpus(program === null ? null : run(program, GPU_QUERY, { machine, timeoutMs: 20_000 }));
  const half = cudaHalf(readEngineRecord(engine)?.libtorchDirectory ?? '');
  return checkGpus(answer, half, {
    compute: ({ library }) => probeCuda(join(engine, 'selm.node'), library, machine),
    hasGraphs: existsSync(join(engine, GRAPHS_LIBRARY)),
  });
}

function checkCandidate({ source, directory, version, verdict }: Candidate): Check {
  const name = `libtorch (${source === 'LIBTORCH' ? '$LIBTORCH' : source})`;
  const found = `${version ?? 'unknown version'} in ${directory}`;
  if (verdict.kind === 'usable') return ok(name, found);
  const detail = `${found}: not taken: ${verdict.reason}`;
  // What the user named must work; another copy that does not fit is only worth knowing.
  if (source !== 'LIBTORCH') return { name, status: 'ok', detail, fix: null };
  return {
    name,
    status: 'problem',
    detail,
    fix: `point LIBTORCH at a LibTorch (${DEFAULT_VERSION} is tested) or unset it`,
  };
}

function checkEngine(directory: string, machine: Machine): Check[] {
  const record = readEngineRecord(directory);
  const addon = join(directory, 'selm.node');
  if (record === null || !existsSync(addon)) {
    return [{ name: 'engine', status: 'problem', detail: `nothing is built in ${directory}`, fix: ENGINE_FIX }];
  }
  const built = `built against LibTorch ${record.libtorchVersion} in ${record.libtorchDirectory}`;
  const stale = staleReason(record, { sources: nativeSources, output: directory, libtorch: null });
  const probe = probeAddon(addon, machine);
  return [
    stale === null
      ? ok('engine', built)
      : { name: 'engine', status: 'warning', detail: `${built}; ${stale}`, fix: ENGINE_FIX },
    probe.kind === 'loads'
      ? ok('engine loads', 'a matrix product and a gradient came out right in a child process')
      : { name: 'engine loads', status: 'problem', detail: probe.message, fix: 'run `selm engine install --force`' },
  ];
}

function checkPackage(name: string, probe: Probe): Check {
  if (probe.kind === 'loads') return ok(name, 'loads');
  return {
    name,
    status: 'problem',
    detail: probe.message,
    fix: 'run `npm ci` (with a network, and a C++ compiler if no binary fits)',
  };
}

function packageVersion(): string {
  try {
    const value: unknown = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
    return typeof value === 'object' && value !== null && 'version' in value ? String(value.version) : 'unknown';
  } catch {
    return 'unknown';
  }
}
