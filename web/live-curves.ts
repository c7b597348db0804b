/** @file Curves that grow by what a run tells, so that a page need not ask for all of them again after each step. Pure. */
import type { Curve, Curves, LoggedEvent } from '../src/server/api.ts';

/** What one step of the policy's training measured. */
export type Measured = Extract<LoggedEvent, { kind: 'metrics' }>;

/** Curves with one more step at their ends. One of an iteration that has not begun in them, or that they have already, changes nothing. */
export function withStep(curves: Curves, { iteration, step, values }: Measured): Curves {
  const start = curves.starts.find((each) => each.iteration === iteration);
  if (start === undefined) return curves;
  const x = start.before + step + 1;
  const grown = (curve: Curve): Curve => {
    const y = values[curve.name];
    if (y === undefined || x <= (curve.x.at(-1) ?? 0)) return curve;
    return { name: curve.name, x: [...curve.x, x], y: [...curve.y, y] };
  };
  return { ...curves, steps: curves.steps.map(grown) };
}
