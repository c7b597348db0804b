/**
 * @file What a run loses to the pages that watch it: a real fine-tuning with a real studio, whose 50 pages are opened and closed again and
 * again while it trains. Steps a second with pages and without, window beside window in an order by chance. Steps vary by more than
 * the pages cost, so the time is counted too for which the run's threads were ready and others had the processors: a step is late by that at
 * most (what else is lost, as lines of a cache, is in the steps a second only).
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { bootstrapMean } from '../src/evaluate/statistics.ts';
import { lastEvents, readEvents } from '../src/store/read-events.ts';
import { processorSeconds, waitingSeconds } from './process-tree.ts';
import { ended, portOf, startPages, startSelm, startStudio } from './studio-processes.ts';

const PAGES = 50;
/** Of each window: what opening or closing the pages takes is not what following costs. */
const [SETTLE_MS, WINDOW_MS] = [1500, 5000];
const TOKEN = 'token-of-the-benchmark';

/** Of a window: steps of the run, and for how much of it the run's threads waited, the studio ran, and the pages did. */
interface Window {
  stepsPerSecond: number;
  waitingShare: number;
  studioShare: number;
  pagesShare: number;
}

/** Prints what `pairs` pairs of windows show of a run with so many threads. */
export async function benchStudioCost({ pairs, threads }: { pairs: number; threads: number }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'selm-bench-studio-cost-'));
  const children: ChildProcess[] = [];
  const started = (child: ChildProcess): ChildProcess => {
    children.push(child);
    return child;
  };
  try {
    const run = join(folder, 'watched');
    const settings = [`output=${run}`, `threads=${threads}`, 'training.epochs=100000'];
    const words = ['sft', 'recipes/sft.yaml', ...settings.flatMap((each) => ['--set', each])];
    const trainer = started(startSelm(words, { SELM_THREADS: String(threads) }));
    while (!lastEvents(run).events.some(({ event }) => event.kind === 'metrics')) await setTimeout(200);
    const studio = started(startStudio(folder, TOKEN));
    const pages = started(startPages(await portOf(studio), TOKEN, { run: 'watched', count: PAGES }));
    await setTimeout(3000);
    const toggle = (): unknown => pages.stdin?.write('\n');
    const costs: number[] = [];
    const waits: number[] = [];
    const watched: Window[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      const isWatchedFirst = Math.random() < 0.5;
      const windows: Window[] = [];
      for (const isWatched of isWatchedFirst ? [true, false] : [false, true]) {
        if (isWatched) toggle();
        windows.push(await measure(run, { trainer, studio, pages }));
        if (isWatched) toggle();
      }
      const [first, second] = windows;
      const [on, off] = isWatchedFirst ? [first, second] : [second, first];
      if (on === undefined || off === undefined) continue;
      watched.push(on);
      costs.push(100 * (1 - on.stepsPerSecond / off.stepsPerSecond));
      waits.push(100 * (on.waitingShare - off.waitingShare));
    }
    const said = (values: readonly number[]): string => {
      const { value, low, high } = bootstrapMean(values, 1);
      return `${value.toFixed(2)} % [${low.toFixed(2)}, ${high.toFixed(2)}]`;
    };
    const meanOf = (part: (each: Window) => number): number => bootstrapMean(watched.map(part), 1).value;
    process.stdout.write(
      [
        `${PAGES} pages on a run of ${threads} threads on ${availableParallelism()} cores, ${pairs} pairs of windows of ${WINDOW_MS / 1000} s`,
        `the run loses ${said(costs)} of its steps a second; its threads wait for ${said(waits)} more of the time`,
        `steps a second ${meanOf(({ stepsPerSecond }) => stepsPerSecond).toFixed(1)}`,
        `the studio takes ${(100 * meanOf(({ studioShare }) => studioShare)).toFixed(2)} % of a core, what stands for the pages ${(100 * meanOf(({ pagesShare }) => pagesShare)).toFixed(2)} %`,
        '',
      ].join('\n'),
    );
  } finally {
    await Promise.all(children.map((child) => ended(child, 'SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  run: string,
  { trainer, studio, pages }: Record<'trainer' | 'studio' | 'pages', ChildProcess>,
): Promise<Window> {
  await setTimeout(SETTLE_MS);
  const { lastId } = lastEvents(run);
  const look = (): { waiting: number; studio: number; pages: number } => ({
    waiting: waitingSeconds(trainer.pid ?? 0),
    studio: processorSeconds(studio.pid ?? 0),
    pages: processorSeconds(pages.pid ?? 0),
  });
  const before = look();
  await setTimeout(WINDOW_MS);
  const after = look();
  const times: number[] = [];
  for (let from = lastId; ; ) {
    const read = readEvents(run, from);
    if (read === null || read.lastId === from) break;
    times.push(...read.events.flatMap(({ event }) => (event.kind === 'metrics' ? [event.timeMs] : [])));
    from = read.lastId;
  }
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
  return {
    stepsPerSecond: (times.length - 1) / seconds,
    waitingShare: (after.waiting - before.waiting) / (WINDOW_MS / 1000),
    studioShare: (after.studio - before.studio) / (WINDOW_MS / 1000),
    pagesShare: (after.pages - before.pages) / (WINDOW_MS / 1000),
  };
}
