import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { thisProcess } from '../files/lock.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type Ledger, openLedger } from './ledger.ts';
import { describeState, runState } from './run-state.ts';

/** What a run of two iterations without held-out prompts is said to do after some work on its ledger. */
function stateAfter(work: (ledger: Ledger) => void, lock: 'locked' | 'free' = 'free'): string | null {
  const path = temporaryFolder();
  using ledger = openLedger(join(path, 'run.db'));
  work(ledger);
  if (lock === 'locked') writeFileSync(join(path, 'run.lock'), JSON.stringify(thisProcess()));
  const recipe = {
    iterations: 2,
    evaluate: { prompts: null, benchmarks: null, judge: null, alpaca: null, mtBench: null, stopOnRegression: null },
  } as unknown as Recipe; // all that is read of it
  return describeState(runState(path, recipe, ledger), recipe);
}

const trained = (ledger: Ledger, iteration: number): void => {
  ledger.stages.begin(iteration, 'train');
  ledger.stages.finish(iteration, 'train');
};

test('a run is finished when its last iteration is, and nothing is open', () => {
  const both = (ledger: Ledger): void => {
    trained(ledger, 1);
    trained(ledger, 2);
  };
  expect(stateAfter(both)).toBeNull();
  expect(stateAfter((ledger) => trained(ledger, 1))).toMatch(/was stopped: iteration 1 of 2, stage train/);
});

test('a run whose process lives goes on; without one it was stopped', () => {
  const begin = (ledger: Ledger): void => void ledger.stages.begin(2, 'rank');
  expect(stateAfter(begin, 'locked')).toBe('The run goes on: iteration 2 of 2, stage rank.');
  expect(stateAfter(begin)).toMatch(/^The run was stopped: iteration 2 of 2, stage rank\. The same command/);
  expect(stateAfter(() => {})).toMatch(/before its first stage/);
});

test('a run that waits or failed says where, and why', () => {
  expect(
    stateAfter((ledger) => {
      ledger.stages.begin(1, 'rank');
      ledger.stages.suspend(1, 'rank');
    }),
  ).toBe('The run waits: iteration 1 of 2, stage rank.');
  expect(
    stateAfter((ledger) => {
      ledger.stages.begin(0, 'evaluate');
      ledger.stages.failRunning({ code: 'RANKER_THREW', message: 'the reward is down' });
    }),
  ).toBe('The run failed: before iteration 1, stage evaluate: the reward is down (RANKER_THREW)');
});
