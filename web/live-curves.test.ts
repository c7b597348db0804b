import { expect, test } from 'vitest';
import type { Curves } from '../src/server/api.ts';
import { type Measured, withStep } from './live-curves.ts';

/** Two iterations of three steps; the second has made two of them. */
const curves: Curves = {
  steps: [
    { name: 'loss', x: [1, 2, 3, 4, 5], y: [5, 4, 3, 2, 1] },
    { name: 'lr', x: [], y: [] },
  ],
  iterations: [],
  starts: [
    { iteration: 1, before: 0 },
    { iteration: 2, before: 3 },
  ],
  measured: 5,
};
const step = (iteration: number, at: number, values: Measured['values']): Measured => ({
  kind: 'metrics',
  timeMs: 0,
  iteration,
  step: at,
  values,
});

test('a step is put at the end of the curves that it measured, counted through all iterations', () => {
  const [loss, rate] = withStep(curves, step(2, 2, { loss: 0.5, other: 1 })).steps;
  expect([loss?.x.at(-1), loss?.y.at(-1), rate?.x]).toEqual([6, 0.5, []]);
  expect(curves.steps[0]?.x).toHaveLength(5);
});

test('a step that is there already, or of an iteration that is not, changes nothing', () => {
  expect(withStep(curves, step(2, 1, { loss: 9 })).steps).toEqual(curves.steps);
  expect(withStep(curves, step(3, 0, { loss: 9 }))).toBe(curves);
});

test('what is no number leaves a gap', () => {
  expect(withStep(curves, step(2, 2, { loss: null })).steps[0]?.y.at(-1)).toBeNull();
});
