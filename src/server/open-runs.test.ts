/** @file What is read of many runs for the list of all of them: each once, and again only where something changed. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openLedger } from '../store/ledger.ts';
import { openLedgerViews } from '../store/ledger-views.ts';
import { OpenRuns } from './open-runs.ts';
import { writeStudioRun } from './studio-run.testing.ts';
import { tasksOf } from './tasks.ts';

/** More than stay open at the same time. */
const RUNS = 40;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-test-'));
  writeStudioRun(join(folder, 'run-0'), { ranker: 'people' });
  const alike = writeStudioRun(join(folder, 'run-1'), { pairs: 1, steps: 1, iterations: 1 });
  for (let n = 2; n < RUNS; n++) cpSync(alike, join(folder, `run-${n}`), { recursive: true });
});

afterAll(() => rmSync(folder, { recursive: true }));

/** How a ledger was opened: `run-7: glance`. */
type Opening = `${string}: ${'read' | 'glance'}`;

/** The runs, the first of which asks people, and how their ledgers were opened since `opened` was emptied. */
function watched(): { runs: OpenRuns; opened: Opening[]; later: () => void } {
  const opened: Opening[] = [];
  let now = 0;
  const runs = new OpenRuns([folder], {
    clock: () => now,
    openLedger(path, access = 'read') {
      opened.push(`${basename(dirname(path))}: ${access}`);
      return openLedgerViews(path, access);
    },
  });
  onTestFinished(() => runs.close());
  const later = (): void => {
    now += 60_000;
  };
  return { runs, opened, later };
}

test('the list of many runs glances at each of them once, and later at those alone that have changed', () => {
  const { runs, opened, later } = watched();
  expect(runs.summaries()).toHaveLength(RUNS);
  expect(opened.sort()).toEqual(Array.from({ length: RUNS }, (_, n) => `run-${n}: glance`).sort());
  for (let look = 0; look < 2; look++) {
    opened.length = 0;
    later();
    expect(runs.summaries()).toHaveLength(RUNS);
    expect(opened).toEqual([]);
  }
  {
    using ledger = openLedger(join(folder, 'run-7', 'run.db'));
    ledger.stages.begin(2, 'sample');
  }
  later();
  expect(runs.summaries().map(({ standing }) => standing)).toContain('stopped');
  expect(opened).toEqual(['run-7: glance']);
});

test('what is asked of people opens the runs that ask, and no other', () => {
  const { runs, opened, later } = watched();
  runs.summaries();
  opened.length = 0;
  later();
  expect(tasksOf(runs, 'ada').map(({ id }) => id)).toEqual(['run-0']);
  expect(opened).toEqual(['run-0: read']);
});

test('the list of many runs leaves the run open that a page shows', () => {
  const { runs, opened } = watched();
  const shown = runs.open('run-9');
  runs.summaries();
  opened.length = 0;
  expect(runs.open('run-9')).toBe(shown);
  expect(opened).toEqual([]);
});
