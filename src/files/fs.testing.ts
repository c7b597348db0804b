/** @file For tests: a file system whose N-th call fails, once or from then on (as a crash does). Not used by the program. */
import { type Fs, nodeFs } from './fs.ts';

/** How a failing call fails. */
export interface Failure {
  /** Number of the call that fails, from 1. */
  call: number;
  /** `once`: later calls work again. `crash`: nothing works any more, as after a power cut. */
  after: 'once' | 'crash';
  /** @default 'EIO' */
  code?: string;
}

/** The real file system with one planned failure; `calls()` says how many calls were made. */
export function failingFs({ call, after, code = 'EIO' }: Failure): { fs: Fs; calls: () => number } {
  let count = 0;
  const fs = new Proxy(nodeFs, {
    get(target, name) {
      const real: unknown = Reflect.get(target, name);
      if (typeof real !== 'function') return real;
      return (...args: unknown[]) => {
        count++;
        // Descriptors are the test process's own: a crash closes them, so closing goes through.
        if (name === 'closeSync') real(...args);
        if (count === call || (after === 'crash' && count > call)) throw systemError(code, String(name));
        return name === 'closeSync' ? undefined : real(...args);
      };
    },
  });
  return { fs, calls: () => count };
}

/** An error as Node throws it. */
export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: planned failure, ${syscall}`), { code, syscall });
}
