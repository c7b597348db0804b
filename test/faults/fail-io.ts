/**
 * @file The N-th change of the file system fails, as the operating system reports it: fail-io.c is compiled and loaded
 * into a child process, whose calls it counts and fails by a plan in a small mapped file.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { constants, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Which call fails, and how. */
export interface Fault {
  /** Number of the failing call, from 1. */
  call: number;
  /** `once`: later calls work. `always`: none does, as on a disk that is full or gone. */
  after: 'once' | 'always';
  code: 'ENOSPC' | 'EIO' | 'EROFS';
}

/** The environment of a child whose calls below `folder` follow the plan at `planPath`. */
export interface FaultEnvironment {
  LD_PRELOAD: string;
  SELM_FAULT_PLAN: string;
  SELM_FAULT_UNDER: string;
}

/** Compiles the library into `folder`; a text says why that is not possible here. */
export function buildFaults(folder: string, under: string): FaultEnvironment | string {
  if (platform() !== 'linux') return 'LD_PRELOAD with /proc is Linux only';
  const source = fileURLToPath(new URL('./fail-io.c', import.meta.url));
  const library = join(folder, 'fail-io.so');
  const { status, error, stderr } = spawnSync('cc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'], {
    encoding: 'utf8',
  });
  if (error !== undefined) return 'there is no C compiler';
  if (status !== 0) throw new Error(`fail-io.c does not compile: ${stderr}`);
  const planPath = join(folder, 'plan');
  writeFileSync(planPath, new Uint8Array(16));
  return { LD_PRELOAD: library, SELM_FAULT_PLAN: planPath, SELM_FAULT_UNDER: under };
}

/** In the child: the plan of this process. */
export function faultPlan(): { arm: (fault: Fault) => void; disarm: () => number } {
  const path = process.env.SELM_FAULT_PLAN;
  if (path === undefined) throw new Error('SELM_FAULT_PLAN is not set');
  const write = (numbers: number[]): void => {
    // In place: the library has this very file mapped.
    const fd = openSync(path, 'r+');
    writeSync(fd, new Uint8Array(Int32Array.from(numbers).buffer), 0, 16, 0);
    closeSync(fd);
  };
  return {
    arm: ({ call, after, code }) => write([call, after === 'always' ? 1 : 0, constants.errno[code], 0]),
    /** Switches faults off and returns how many calls were counted. */
    disarm: () => {
      const bytes = new Uint8Array(16);
      const fd = openSync(path, 'r');
      readSync(fd, bytes, 0, 16, 0);
      closeSync(fd);
      write([0, 0, 0, 0]);
      return new Int32Array(bytes.buffer)[3] ?? 0;
    },
  };
}
