/**
 * @file The machine as this folder sees it: its environment, the programs on PATH, and running them. It is passed in
 * everywhere, so that tests can take programs away. It also knows the line that installs a missing tool.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { EngineError } from '../errors.ts';

/** Environment and kind of machine. */
export interface Machine {
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  arch: string;
}

/** The machine that this process runs on. */
export const thisMachine: Machine = { env: process.env, platform: process.platform, arch: process.arch };

/** How a program ended. */
export interface Finished {
  /** Exit status, or null when a signal ended it or it could not be started. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** What the engine is made with. `make` stands for any of Ninja and make. */
export type Tool = 'python3' | 'pip' | 'cmake' | 'compiler' | 'make';

const PROGRAMS: Record<Exclude<Tool, 'pip'>, readonly string[]> = {
  python3: ['python3'],
  cmake: ['cmake'],
  compiler: ['g++', 'clang++', 'c++'],
  make: ['ninja', 'make'],
};

const TOOL_NAMES: Record<Tool, string> = {
  python3: 'python3',
  pip: 'pip for python3',
  cmake: 'cmake',
  compiler: 'a C++20 compiler (g++ or clang++)',
  make: 'ninja or make',
};

const PACKAGES: Record<Tool, { apt: string; dnf: string; brew: string }> = {
  python3: { apt: 'python3', dnf: 'python3', brew: 'python' },
  pip: { apt: 'python3-pip', dnf: 'python3-pip', brew: 'python' },
  cmake: { apt: 'cmake', dnf: 'cmake', brew: 'cmake' },
  compiler: { apt: 'g++', dnf: 'gcc-c++', brew: 'gcc' },
  make: { apt: 'ninja-build', dnf: 'ninja-build', brew: 'ninja' },
};

/** Absolute path of the first of these programs that is on PATH (or is itself a path), or null. */
export function findProgram(names: readonly string[], machine: Machine = thisMachine): string | null {
  const folders = (machine.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const name of names) {
    const paths = name.includes('/') ? [name] : folders.map((folder) => join(folder, name));
    const found = paths.find(isExecutable);
    if (found !== undefined) return found;
  }
  return null;
}

/** Absolute path of what does the job of a tool (`$CXX` and `$VIRTUAL_ENV` are honoured), or null. */
export function findTool(tool: Exclude<Tool, 'pip'>, machine: Machine = thisMachine): string | null {
  const environment = machine.env.VIRTUAL_ENV;
  // $CXX may carry options (`g++ -m64`): its first word is the program.
  const compiler = machine.env.CXX?.trim().split(/\s+/)[0];
  if (tool === 'python3' && environment) {
    const own = findProgram([join(environment, 'bin', 'python3')], machine);
    if (own !== null) return own;
  }
  if (tool === 'compiler' && compiler) return findProgram([compiler], machine);
  return findProgram(PROGRAMS[tool], machine);
}

/** Path of a tool; EngineError TOOL_MISSING with the line that installs it. */
export function requireTool(tool: Exclude<Tool, 'pip'>, purpose: string, machine: Machine = thisMachine): string {
  const path = findTool(tool, machine);
  if (path === null) throw missingTool(tool, purpose, machine);
  return path;
}

/** The error for a tool that is not there. */
export function missingTool(tool: Tool, purpose: string, machine: Machine = thisMachine): EngineError {
  return new EngineError(
    'TOOL_MISSING',
    `Cannot ${purpose}: ${TOOL_NAMES[tool]} not found: ${installLine(tool, machine)}`,
    {
      details: { tool },
    },
  );
}

/** What to run to get a tool: for the package managers on PATH, or for all known ones when there is none. */
export function installLine(tool: Tool, machine: Machine = thisMachine): string {
  const { apt, dnf, brew } = PACKAGES[tool];
  const lines: Record<string, string> = {
    'apt-get': `sudo apt-get install ${apt}`,
    dnf: `sudo dnf install ${dnf}`,
    brew: `brew install ${brew}`,
  };
  const present = Object.keys(lines).filter((manager) => findProgram([manager], machine) !== null);
  const shown = present.length > 0 ? present : Object.keys(lines);
  return `run ${shown.map((manager) => `\`${lines[manager]}\``).join(' or ')}`;
}

/** Runs a program to its end; one that cannot be started gives status null and the reason in stderr. */
export function run(
  command: string,
  args: readonly string[],
  { machine = thisMachine, cwd, timeoutMs = 120_000 }: { machine?: Machine; cwd?: string; timeoutMs?: number } = {},
): Finished {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...machine.env },
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
    ...(cwd === undefined ? {} : { cwd }),
  });
  const problem = result.error === undefined ? '' : `${result.error.message}\n`;
  return {
    status: result.status,
    signal: result.signal,
    stdout: result.stdout ?? '',
    stderr: problem + (result.stderr ?? ''),
  };
}

/** Runs a long program and hands each line of its output on as it comes. */
export function runWithLines(
  command: string,
  args: readonly string[],
  options: { machine: Machine; env?: Record<string, string>; onLine: (line: string) => void },
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...options.machine.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      let rest = '';
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        texts[name] += chunk;
        const lines = (rest + chunk).split(/\r?\n|\r/);
        rest = lines.pop() ?? '';
        for (const line of lines) options.onLine(line);
      });
    }
    child.on('error', (error) => resolve({ status: null, signal: null, stdout: texts.stdout, stderr: error.message }));
    child.on('close', (status, signal) => resolve({ status, signal, ...texts }));
  });
}

/** Bytes that this user may still write below a path (the nearest folder that exists), or null when unknown. */
export function freeBytes(path: string): number | null {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** `2.5 GB` of 2500000000. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
