/** @file `selm train` on several ranks as processes of their own, told by its events, and one of them killed where a test says. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../src/files/package-root.ts';
import type { LoopEvent } from '../../src/store/events.ts';

/** A rank whose others are gone has ended by then. */
const END_MS = 30_000;

/** What a run tells of a stage, told at its place. */
export type StageEvent = Extract<LoopEvent, { kind: 'stage-started' | 'stage-progress' | 'stage-finished' }>;

/** Kills one rank a while after the run has come to a place. */
export interface Kill {
  rank: number;
  when(event: StageEvent): boolean;
  delayMs: number;
}

export interface Ended {
  code: number | null;
  events: StageEvent[];
  /** When the kill was made, milliseconds since 1970; null where the run ended before. */
  killedMs: number | null;
}

/** Runs to the end or to the kill; afterwards no rank lives. */
export async function runOnRanks(
  recipePath: string,
  { ranks, settings, kill = null }: { ranks: number; settings: readonly string[]; kill?: Kill | null },
): Promise<Ended> {
  const words = ['train', recipePath, '--json', '--ranks', String(ranks)];
  const child = spawn(
    process.execPath,
    [join(packageRoot, 'bin', 'selm'), ...words, ...settings.flatMap((each) => ['--set', each])],
    { env: { ...process.env, SELM_THREADS: '1' }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended: Ended = { code: null, events: [], killedMs: null };
  let others: ReadonlyMap<number, number> = new Map();
  let isAimed = false;
  const strike = (rank: number): void => {
    const pid = rank === 0 ? child.pid : others.get(rank);
    if (pid === undefined || !isAlive(pid)) return;
    ended.killedMs = Date.now();
    process.kill(pid, 'SIGKILL');
  };
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const event of lines.map((line) => JSON.parse(line) as LoopEvent).filter(isOfStage)) {
      ended.events.push(event);
      if (others.size < ranks - 1) others = ranksBelow(child.pid);
      if (kill === null || isAimed || !kill.when(event)) continue;
      isAimed = true;
      if (kill.delayMs === 0) strike(kill.rank);
      else setTimeout(() => strike(kill.rank), kill.delayMs);
    }
  });
  ended.code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const living = (): number[] => [...others.values()].filter(isAlive);
  for (let waitedMs = 0; living().length > 0; waitedMs += 100) {
    if (waitedMs > END_MS) throw new Error(`A rank lives after the others are gone: ${living()}`);
    await sleep(100);
  }
  return ended;
}

function isOfStage(event: LoopEvent): event is StageEvent {
  return event.kind === 'stage-started' || event.kind === 'stage-progress' || event.kind === 'stage-finished';
}

/** Processes that rank 0 started as other ranks, by their numbers. */
export function ranksBelow(pid: number | undefined): Map<number, number> {
  const children = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(children)) return new Map();
  const found = readFileSync(children, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number).filter(isAlive);
  return new Map(
    found.flatMap((each): [number, number][] => {
      const rank = /(?:^|\0)RANK=(\d+)\0/.exec(readFileSync(`/proc/${each}/environ`, 'utf8'))?.[1];
      return rank === undefined ? [] : [[Number(rank), each]];
    }),
  );
}

/** Whether a process runs. */
export function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !readFileSync(status, 'utf8').includes('State:\tZ');
}
