/**
 * @file Fills our cache with LibTorch from PyPI's wheel `torch`. pip fetches it (so the user's index, proxy and
 * certificates apply), or it is given as a file. Only headers and the CPU libraries are unpacked; with `cuda` also
 * those for GPUs, beside the NVIDIA libraries that they need. No Python runs afterwards. The copy appears whole, by a
 * rename, or not at all.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EngineError } from '../errors.ts';
import { libtorchVersionOf, minorVersion } from '../torch/native.ts';
import { cudaRequirements, describeWheels, planCudaWheels, totalBytes } from './cuda-wheels.ts';
import { DEFAULT_VERSION, library, libtorchCache } from './locate.ts';
import {
  freeBytes,
  gigabytes,
  type Machine,
  missingTool,
  requireTool,
  run,
  runWithLines,
  thisMachine,
} from './machine.ts';
import { type Probe, probeLibrary } from './probing.ts';

/** Options of `fetchLibtorch`. */
export interface FetchOptions {
  /** A wheel `torch-*.whl`, or a folder of wheels; what is not there still comes from pip. @default pip's index */
  from?: string;
  /** Index in place of the one that pip is configured with. */
  indexUrl?: string;
  /** `cuda` takes the libraries for GPUs too. @default 'cpu' */
  half?: 'cpu' | 'cuda';
  /** @default this machine */
  machine?: Machine;
  /** Takes progress, one line at a time. */
  log: (line: string) => void;
}

/** What PyPI's CUDA build of libtorch_cpu.so needs to load on a machine without a GPU; builds for the CPU need neither. */
const CUDA_STUBS = ['nvidia-cuda-runtime==13.5.37', 'nvidia-cuda-cupti==13.5.25'];
/** Download 0.6 GB, pip's own copy of it, and 0.6 GB unpacked, with room to spare. */
const BYTES_NEEDED = 2.5e9;
const BYTES_NEEDED_FROM_WHEEL = 1e9;

/**
 * Unpacks the members of a wheel that a C++ program needs, on the CPU or with CUDA (then CUDA's own headers too, for graphs); zipfile
 * checks each member's CRC and its path.
 */
const UNPACK = `
import os, re, sys, zipfile
wheel, folder, half = sys.argv[1:]
libraries = r'nvidia/.*/lib(cudart|cupti)\\.so[.0-9]*$' if half == 'cpu' else r'nvidia/.*\\.so[.0-9]*$'
if half == 'cuda' and re.match('nvidia_cuda_(runtime|crt)-', os.path.basename(wheel)): libraries += '|nvidia/.*/include/'
keep = re.compile(r'torch/include/|torch/version\\.py$|torch/lib/[^/]+\\.(so|dylib)[.0-9]*$|torch\\.libs/|' + libraries +
                  r'|[^/]+\\.dist-info/(METADATA$|licenses/|LICENSE)')
cuda = 'torch_cuda|c10_cuda|caffe2_nvrtc|torch_nvshmem|nvshmem|' if half == 'cpu' else ''
drop = re.compile(r'torch/lib/lib(' + cuda + r'torch_python|shm|torch\\.so|torch_global)')
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if keep.match(member.filename) and not drop.match(member.filename):
            archive.extract(member, folder)
`;

/** Fetches the default version into the cache and returns its `torch` folder. Throws EngineError. */
export async function fetchLibtorch(options: FetchOptions): Promise<string> {
  const machine = options.machine ?? thisMachine;
  const python = requireTool('python3', `fetch LibTorch ${DEFAULT_VERSION}`, machine);
  const cache = libtorchCache(machine);
  requireSpace(cache, options.from === undefined ? BYTES_NEEDED : BYTES_NEEDED_FROM_WHEEL);
  mkdirSync(cache, { recursive: true });
  clearLeftovers(cache);
  const temporary = join(cache, `.fetching-${process.pid}`);
  const wheels = join(temporary, 'wheels');
  const unpacked = join(temporary, 'unpacked');
  const started = performance.now();
  try {
    mkdirSync(wheels, { recursive: true });
    const pip: Pip = { python, wheels, machine, options };
    const torch =
      options.from === undefined ? await download(pip, [`torch==${DEFAULT_VERSION}`]) : givenWheels(options.from);
    unpack(pip, torch, unpacked);
    const directory = join(unpacked, 'torch');
    requireDefaultMinor(directory, torch);
    if (options.half === 'cuda') await addCudaLibraries(pip, unpacked);
    let probe = probeLibrary(library(directory), machine);
    if (needsCudaStubs(probe)) {
      options.log('  this build of LibTorch links CUDA: adding the two small libraries that its CPU half needs');
      unpack(pip, await download(pip, CUDA_STUBS), unpacked);
      probe = probeLibrary(library(directory), machine);
    }
    if (probe.kind === 'fails') {
      throw new EngineError(
        'LIBTORCH_LOAD',
        `Cannot use the LibTorch just fetched: it does not load: ${probe.message}: set LIBTORCH to a copy made for this machine`,
      );
    }
    const final = join(cache, DEFAULT_VERSION);
    swapIn(unpacked, final, join(temporary, 'previous'));
    options.log(`LibTorch ${DEFAULT_VERSION} is in ${final} (${Math.round((performance.now() - started) / 1000)} s)`);
    return join(final, 'torch');
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Fetches what the unpacked wheel names as the requirements of its CUDA half; sizes are told first. */
async function addCudaLibraries(pip: Pip, unpacked: string): Promise<void> {
  const { python, wheels, machine, options } = pip;
  const named = readdirSync(unpacked).find((name) => /^torch-.*\.dist-info$/.test(name));
  const metadata = named === undefined ? '' : readFileSync(join(unpacked, named, 'METADATA'), 'utf8');
  const requirements = cudaRequirements(metadata);
  if (requirements.length === 0) {
    throw new EngineError(
      'LIBTORCH_UNUSABLE',
      'Cannot install the CUDA half: this torch wheel names no libraries of NVIDIA, so it was built for the CPU: fetch it from an index that has the CUDA build, such as PyPI',
    );
  }
  const planned = await planCudaWheels(requirements, {
    python,
    machine,
    folder: wheels,
    pipOptions: indexOptions(options),
  });
  for (const line of describeWheels(planned)) options.log(line);
  // The wheels, and what they hold.
  requireSpace(libtorchCache(machine), 3 * (totalBytes(planned) ?? 0));
  const exact = planned.map(({ name, version }) => `${name}==${version}`);
  unpack(pip, await download(pip, exact), unpacked);
}

function indexOptions({ indexUrl, from }: FetchOptions): string[] {
  return [
    ...(indexUrl === undefined ? [] : ['--index-url', indexUrl]),
    ...(from === undefined ? [] : ['--find-links', wheelFolder(from)]),
  ];
}

interface Pip {
  python: string;
  wheels: string;
  machine: Machine;
  options: FetchOptions;
}

/** Downloads wheels and returns their paths. pip's settings are the user's own; nothing is installed anywhere. */
async function download({ python, wheels, machine, options }: Pip, requirements: readonly string[]): Promise<string[]> {
  if (run(python, ['-m', 'pip', '--version'], { machine }).status !== 0) {
    throw missingTool('pip', `fetch ${requirements.join(' and ')}`, machine);
  }
  const folder = join(wheels, requirements[0] ?? '');
  const common = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--progress-bar',
    'off',
    '--dest',
    folder,
  ];
  const attempt = (pythonTags: readonly string[]) =>
    runWithLines(python, [...common, ...indexOptions(options), ...pythonTags, ...requirements], {
      machine,
      // pip unpacks beside the target, not in a /tmp that may be small.
      env: { TMPDIR: wheels, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' },
      onLine: (line) => {
        if (/^\s*(Downloading|Using cached|WARNING: Retrying)/.test(line)) options.log(`  ${line.trim()}`);
      },
    });
  options.log(`Fetching ${requirements.join(', ')} by pip`);
  let finished = await attempt([]);
  // The Python part of the wheel is never used: a Python too new or too old for it is no obstacle.
  if (finished.status !== 0 && /No matching distribution|no matching distribution/.test(finished.stderr)) {
    finished = await attempt([
      '--python-version',
      '3.12',
      '--implementation',
      'cp',
      '--abi',
      'cp312',
      ...platformTags(machine),
    ]);
  }
  if (finished.status !== 0) {
    const reason =
      finished.stderr
        .split('\n')
        .filter((line) => line.startsWith('ERROR'))
        .at(-1) ?? finished.stderr.trim();
    throw new EngineError(
      'LIBTORCH_DOWNLOAD',
      `Cannot fetch ${requirements.join(' and ')} by pip: ${reason.slice(0, 500)}: check the network or pass --index-url, --from WHEEL, or LIBTORCH=FOLDER`,
      { details: { stderr: finished.stderr } },
    );
  }
  return wheelsIn(folder);
}

function platformTags(machine: Machine): string[] {
  const cpu = machine.arch === 'arm64' ? 'aarch64' : 'x86_64';
  return ['--platform', `manylinux_2_28_${cpu}`];
}

function unpack({ python, machine, options }: Pip, paths: readonly string[], folder: string): void {
  for (const wheel of paths) {
    options.log(`Unpacking ${basename(wheel)}`);
    const { status, stderr } = run(python, ['-c', UNPACK, wheel, folder, options.half ?? 'cpu'], {
      machine,
      timeoutMs: 1_800_000,
    });
    if (status !== 0) {
      const reason = stderr.trim().split('\n').at(-1) ?? '';
      throw new EngineError('LIBTORCH_UNPACK', `Cannot unpack "${wheel}": ${reason}: fetch it again`);
    }
  }
}

/** The wheel named, or of a folder its torch wheel of the default version. */
function givenWheels(from: string): string[] {
  if (from.endsWith('.whl') && existsSync(from)) return [from];
  const torch =
    existsSync(from) && statSync(from).isDirectory() ? wheelsIn(from).filter((path) => isDefault(path)) : [];
  if (torch.length === 0) {
    throw new EngineError(
      'LIBTORCH_UNUSABLE',
      `Cannot install LibTorch from "${from}": it is neither a wheel, nor a folder with include/ and lib/, nor a folder with a torch-${DEFAULT_VERSION}*.whl`,
    );
  }
  return torch.slice(0, 1);
}

function isDefault(path: string): boolean {
  return new RegExp(`^torch-${DEFAULT_VERSION.replaceAll('.', '\\.')}[-+%]`).test(basename(path));
}

function wheelFolder(from: string): string {
  return from.endsWith('.whl') ? dirname(from) : from;
}

function wheelsIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.whl'));
  return names.sort().map((name) => join(folder, name));
}

function requireDefaultMinor(directory: string, wheels: readonly string[]): void {
  const version = libtorchVersionOf(directory);
  if (version !== null && minorVersion(version) === minorVersion(DEFAULT_VERSION)) return;
  const found = version === null ? 'no LibTorch' : `LibTorch ${version}`;
  throw new EngineError(
    'LIBTORCH_VERSION',
    `Cannot install LibTorch from ${wheels.join(', ')}: it holds ${found}, and the cache takes ${minorVersion(DEFAULT_VERSION)} only: unpack it yourself and set LIBTORCH`,
  );
}

/** The loader names the first library that it misses. */
export function needsCudaStubs(probe: Probe): boolean {
  return probe.kind === 'fails' && /lib(cudart|cupti)\.so\S*: cannot open/.test(probe.message);
}

function requireSpace(folder: string, bytesNeeded: number): void {
  const free = freeBytes(folder);
  if (free === null || free >= bytesNeeded) return;
  throw new EngineError(
    'ENGINE_DISK',
    `Cannot fetch LibTorch to ${folder}: ${gigabytes(free)} free, ${gigabytes(bytesNeeded)} needed: free space or set XDG_CACHE_HOME to a larger disk`,
    { details: { freeBytes: free, bytesNeeded } },
  );
}

/** Removes what killed installs left: folders whose process is gone. */
function clearLeftovers(cache: string): void {
  for (const name of readdirSync(cache)) {
    const pid = /^\.fetching-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) rmSync(join(cache, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function swapIn(unpacked: string, final: string, previous: string): void {
  if (existsSync(final)) renameSync(final, previous);
  renameSync(unpacked, final);
}
