/**
 * @file Where LibTorch is: `$LIBTORCH`, the `torch` of the active Python, our own cache, the system, in this order. Each
 * place is reported with its version and why it can or cannot be used. Python is asked only for a path; nothing is loaded
 * here (probe.ts does that).
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { libtorchVersionOf, minorVersion } from '../torch/native.ts';
import { findTool, type Machine, run, thisMachine } from './machine.ts';

/** The version that is fetched, and whose minor is taken unless `$LIBTORCH` says otherwise: the tests run on it. */
export const DEFAULT_VERSION = '2.15.0';
/** The oldest minor that the tests of operators and kernels were run with. */
export const FLOOR_VERSION = '2.11';

/** Where a LibTorch was found. `given` is a folder named on the command line. */
export type CandidateSource = 'LIBTORCH' | 'given' | 'python' | 'cache' | 'system';
/** Whether it can be built against. */
export type Verdict = { kind: 'usable' } | { kind: 'unusable'; reason: string };

/** A folder that is, or should be, a LibTorch. */
export interface Candidate {
  source: CandidateSource;
  /** Folder that should hold include/ and lib/. */
  directory: string;
  version: string | null;
  verdict: Verdict;
}

/** Our cache of LibTorch copies: `$XDG_CACHE_HOME/selm/libtorch`, or below ~/.cache. */
export function libtorchCache(machine: Machine = thisMachine): string {
  const base = machine.env.XDG_CACHE_HOME || join(machine.env.HOME ?? homedir(), '.cache');
  return join(base, 'selm', 'libtorch');
}

/** -1, 0 or 1 as a version is older than, the same as, or newer than another; only leading numbers count. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => /^\d+(\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? [0];
  const [left, right] = [numbers(a), numbers(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Looks at a folder without loading anything. A folder with `torch` inside (site-packages) counts as that. */
export function judge(source: CandidateSource, folder: string): Candidate {
  const inner = resolve(folder, 'torch');
  const directory = existsSync(join(inner, 'lib')) && existsSync(join(inner, 'include')) ? inner : resolve(folder);
  const version = libtorchVersionOf(directory) ?? headerVersion(directory);
  const reason = unusableReason(source, directory, version);
  return { source, directory, version, verdict: reason === null ? { kind: 'usable' } : { kind: 'unusable', reason } };
}

/** Every LibTorch in sight, in the order in which they are tried. */
export function locateLibtorch(machine: Machine = thisMachine): Candidate[] {
  const named = machine.env.LIBTORCH;
  const python = pythonTorch(machine);
  return [
    ...(named ? [judge('LIBTORCH', named)] : []),
    ...(python === null ? [] : [judge('python', python)]),
    ...cachedCopies(libtorchCache(machine)).map((folder) => judge('cache', folder)),
    ...['/usr', '/usr/local', '/usr/local/libtorch', '/opt/libtorch'].map((folder) => judge('system', folder)),
  ].filter(
    (candidate) =>
      candidate.source === 'LIBTORCH' || candidate.version !== null || existsSync(library(candidate.directory)),
  );
}

/**
 * Those that may be taken, best first. `$LIBTORCH`, once set, is the only one; else the folder of the engine that is
 * already built stays (activating another Python must not cause a rebuild), then the order of the search.
 */
export function choices(candidates: readonly Candidate[], builtAgainst: string | null): Candidate[] {
  const named = candidates.filter((candidate) => candidate.source === 'LIBTORCH');
  if (named.length > 0) return named;
  const usable = candidates.filter((candidate) => candidate.verdict.kind === 'usable');
  return usable.toSorted(
    (a, b) => Number(sameFolder(b.directory, builtAgainst)) - Number(sameFolder(a.directory, builtAgainst)),
  );
}

/** The library of a LibTorch folder that the addon links. */
export function library(directory: string): string {
  return join(directory, 'lib', 'libtorch_cpu.so');
}

/** Whether two paths are one folder; false when one of them is not there. */
export function sameFolder(a: string, b: string | null): boolean {
  try {
    return b !== null && realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}

function unusableReason(source: CandidateSource, directory: string, version: string | null): string | null {
  if (!existsSync(directory)) return 'the folder does not exist';
  if (version !== null && compareVersions(version, FLOOR_VERSION) < 0) return `older than ${FLOOR_VERSION}`;
  if (version !== null && source !== 'LIBTORCH' && minorVersion(version) !== minorVersion(DEFAULT_VERSION)) {
    return `not ${minorVersion(DEFAULT_VERSION)}: set LIBTORCH=${directory} to use it all the same`;
  }
  for (const file of [library(directory), join(directory, 'lib', 'libc10.so'), versionHeader(directory)]) {
    if (!existsSync(file)) return `${file} is missing`;
  }
  return libtorchVersionOf(directory) === null ? 'neither version.py nor build-version states its version' : null;
}

function versionHeader(directory: string): string {
  return join(directory, 'include', 'torch', 'csrc', 'api', 'include', 'torch', 'version.h');
}

/** The version in the headers, for copies of distributions, which have no version.py. */
function headerVersion(directory: string): string | null {
  const paths = [versionHeader(directory), join(directory, 'include', 'torch', 'headeronly', 'version.h')];
  for (const path of paths.filter((each) => existsSync(each))) {
    const text = readFileSync(path, 'utf8');
    const numbers = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part) => new RegExp(`TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1],
    );
    if (numbers.every((number) => number !== undefined)) return numbers.join('.');
  }
  return null;
}

/** Copies in the cache, the default version first, then the newest. */
function cachedCopies(cache: string): string[] {
  if (!existsSync(cache)) return [];
  const versions = readdirSync(cache).filter((name) => /^\d/.test(name));
  const rank = (name: string) => (name === DEFAULT_VERSION ? 1 : 0);
  return versions
    .toSorted((a, b) => rank(b) - rank(a) || compareVersions(b, a))
    .map((name) => join(cache, name, 'torch'));
}

/** Folder of the `torch` package that python3 would import, found without importing it. */
function pythonTorch(machine: Machine): string | null {
  const python = findTool('python3', machine);
  if (python === null) return null;
  const ask =
    'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")';
  // -P and -I would hide PYTHONPATH; the working folder must not count, so it is one without a torch in it.
  const { status, stdout } = run(python, ['-c', ask], { machine, cwd: '/', timeoutMs: 20_000 });
  const folder = stdout.trim();
  return status === 0 && folder !== '' ? folder : null;
}
