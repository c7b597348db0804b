/** @file Memory and time of a process with all that it started, from Linux's /proc: a tokenizer has its own. */
import { readdirSync, readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;
const TICKS_A_SECOND = 100;

/** Resident bytes of a process and its descendants; pages that they share count in each. 0 when it is gone. */
export function residentBytes(pid: number): number {
  return sumOver(pid, (each) => PAGE_BYTES * Number(readFileSync(`/proc/${each}/statm`, 'utf8').split(' ')[1]));
}

/** Processor seconds of a process and its descendants, ended ones included. */
export function processorSeconds(pid: number): number {
  return sumOver(pid, (each) => {
    // After the name in brackets: utime, stime and those of children that ended are fields 14 to 17.
    const fields = readFileSync(`/proc/${each}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) / TICKS_A_SECOND, 0);
  });
}

/** Seconds that threads of a process and its descendants were ready to run while others had the processors. */
export function waitingSeconds(pid: number): number {
  return sumOver(pid, (each) =>
    readdirSync(`/proc/${each}/task`).reduce((sum, thread) => sum + waitedNanoseconds(each, thread) / 1e9, 0),
  );
}

/** The second number of a thread's schedstat; 0 when it ended meanwhile. */
function waitedNanoseconds(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[1]);
  } catch {
    return 0;
  }
}

function sumOver(pid: number, value: (pid: number) => number): number {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
    );
    return value(pid) + children.reduce((sum, child) => sum + sumOver(Number(child), value), 0);
  } catch {
    return 0; // it ended while it was looked at
  }
}
