import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { openLedger } from '../store/ledger.ts';
import { openLedgerViews } from '../store/ledger-views.ts';
import { RunSeries, thinnedCurve } from './series.ts';

function open() {
  const path = join(temporaryFolder(), 'run.db');
  const ledger = openLedger(path);
  const views = openLedgerViews(path);
  onTestFinished(() => {
    views.close();
    ledger.close();
  });
  const put = (iteration: number, stage: string, values: number[], from = 0): void => {
    for (const [index, loss] of values.entries())
      ledger.putMetric({ iteration, stage, step: from + index, values: { loss } });
  };
  return { ledger, views, put };
}

test('a thinned curve keeps every spike, the first point and the last, and has about as many points as asked', () => {
  const x = Array.from({ length: 100_000 }, (_, index) => index);
  const y = x.map((value) => Math.sin(value / 1000));
  y[54_321] = 100;
  y[12_345] = -100;
  const thinned = thinnedCurve(x, y, 500);
  expect(thinned.x.length).toBeLessThanOrEqual(505);
  expect([thinned.x[0], thinned.x.at(-1)]).toEqual([0, 99_999]);
  expect([Math.max(...thinned.y.map(Number)), Math.min(...thinned.y.map(Number))]).toEqual([100, -100]);
});

test('a constant stays constant, and a stretch without numbers stays a gap', () => {
  const x = Array.from({ length: 1000 }, (_, index) => index);
  const constant = thinnedCurve(
    x,
    x.map(() => 7),
    50,
  );
  expect(new Set(constant.y)).toEqual(new Set([7]));
  const gap = thinnedCurve(
    x,
    x.map((index) => (index >= 400 && index < 600 ? Number.NaN : 1)),
    50,
  );
  const inGap = gap.x.flatMap((value, index) => (value >= 410 && value < 590 ? [gap.y[index]] : []));
  expect(new Set(inGap)).toEqual(new Set([null]));
});

test('a later look reads what came since', async () => {
  const { ledger, views, put } = open();
  const series = new RunSeries();
  ledger.stages.begin(1, 'train', { resumeStep: 0 });
  put(1, 'train', [3, 2]);
  await series.refresh(views);
  put(1, 'train', [1], 2);
  ledger.stages.begin(2, 'train', { resumeStep: 0 });
  put(2, 'train', [5]);
  await Promise.all([series.refresh(views), series.refresh(views)]);
  expect(series.curves(['loss'], 100)).toEqual({
    curves: [{ name: 'loss', x: [1, 2, 3, 4], y: [3, 2, 1, 5] }],
    starts: [
      { iteration: 1, before: 0 },
      { iteration: 2, before: 3 },
    ],
  });
  expect(series.measured).toBe(4);
});

test('of a run that went on from a checkpoint the steps count that the ledger counts', async () => {
  const { ledger, views, put } = open();
  const series = new RunSeries();
  ledger.stages.begin(1, 'train', { resumeStep: 0 });
  put(1, 'train', [9, 8, 7, 6, 5]);
  await series.refresh(views);
  ledger.stages.begin(1, 'train', { resumeStep: 2 }); // goes on from the state after step 2: steps 3 and 4 are gone
  put(1, 'train', [70], 3);
  await series.refresh(views);
  const { curves } = series.curves(['loss'], 100);
  const counted = ledger.metrics().map(({ step, values }) => [step + 1, values.loss]);
  expect(curves[0]?.x.map((x, index) => [x, curves[0]?.y[index]])).toEqual(counted);
  expect(counted).toEqual([
    [1, 9],
    [2, 8],
    [3, 7],
    [4, 70],
  ]);
});

test('numbers of a reward model stand under the name of its stage', async () => {
  const { ledger, views, put } = open();
  const series = new RunSeries();
  ledger.stages.begin(1, 'reward-model', { resumeStep: 0 });
  put(1, 'reward-model', [0.5]);
  await series.refresh(views);
  expect(series.names()).toEqual(['reward-model: loss']);
  expect(series.curves(['reward-model: loss', 'loss'], 100).curves.map(({ y }) => y)).toEqual([[0.5], []]);
});
