/** @file The compute threads of a run that shares the machine with its twin, or does not. Pure. */
import type { Recipe } from './schema.ts';

/**
 * Compute threads of a run where a process may have `available` of them: what the recipe says; else all, or half of them where the twin runs
 * beside it in a process with as many.
 */
export function threadsOf(
  { threads, evaluate: { twin } }: Pick<Recipe, 'threads' | 'evaluate'>,
  available: number,
): number {
  return threads ?? (twin === 'beside' ? Math.max(1, Math.floor(available / 2)) : available);
}
