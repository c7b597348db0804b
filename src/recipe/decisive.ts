/** @file The settings that decide the result of a training. A checkpoint is identified by them. */
import { isDeepStrictEqual } from 'node:util';
import { fieldAt } from './keys.ts';
import { type Recipe, recipeSchema } from './schema.ts';
import type { SftRecipe } from './sft.ts';

/**
 * A `training` section without what changes memory and speed alone, and without what stands at its default: a setting that
 * a later version adds leaves the checkpoints of today usable.
 */
export function decisiveSettings(training: Recipe['training'] | SftRecipe['training']): Record<string, unknown> {
  const decides = ([key, value]: [string, unknown]): boolean => {
    const field = fieldAt(recipeSchema, `training.${key}`);
    return field?.change !== 'free' && !isDeepStrictEqual(field?.default, value);
  };
  return Object.fromEntries(Object.entries(training).filter(decides));
}
