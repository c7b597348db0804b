/** @file What a run records of its own course: which iteration is the best so far, and whether it ended because one fell behind. */
import { z } from 'zod';

/** An estimate with its interval over items. */
const interval = z.object({ value: z.number(), low: z.number(), high: z.number(), count: z.number() });

/** The best iteration when this one was measured. */
export const bestSchema = z.object({
  measure: z.string(),
  iteration: z.number(),
  value: interval,
  /** Paired by item; null where the base was not measured. */
  overBase: interval.nullable(),
});

/** How an iteration stood to the best before it. */
export const standingSchema = z.object({
  measure: z.string(),
  /** The best before it; 0 is the base. */
  best: z.number(),
  /** Own minus best. */
  difference: interval,
  worseInARow: z.number(),
  /** Whether the run ended with it. */
  ends: z.boolean(),
});

/** The best iteration of a run so far. */
export type Best = z.output<typeof bestSchema>;
/** An iteration beside the best before it. */
export type CourseStanding = z.output<typeof standingSchema>;

/** `iteration 2`, `the base`. */
export function policyName(iteration: number): string {
  return iteration === 0 ? 'the base' : `iteration ${iteration}`;
}

/** `iteration 3 fell behind iteration 2 by reward: −0.050 [−0.080, −0.020] on 128 items, ...`. */
export function describeStanding(
  iteration: number,
  { measure, best, difference, worseInARow }: CourseStanding,
): string {
  const { value, low, high, count } = difference;
  const row = worseInARow > 1 ? `, as ${worseInARow} iterations in a row did` : '';
  return `iteration ${iteration} fell behind ${policyName(best)} by ${measure}: ${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}] on ${count} items${row}`;
}
