/**
 * @file What the fields of a recipe are made of. Each field's error text is what is allowed there; the loader puts the
 * field, the line and the value before it.
 */
import { z } from 'zod';

export function number(allowed: string, inside: (value: number) => boolean) {
  return z.number({ error: allowed }).refine(inside, { error: allowed });
}
export function integer(least: number) {
  const error = least === 0 ? 'a whole number from 0' : `a whole number from ${least}`;
  return z.int({ error }).gte(least, { error });
}
export function oneOf<const Options extends readonly [string, ...string[]]>(options: Options) {
  return z.enum(options, { error: `one of ${options.join(', ')}` });
}
export function path(what: string) {
  return z.string({ error: what }).min(1, { error: what });
}

export function listOf<Item extends z.ZodType>(item: Item, error: string) {
  return z.array(item, { error }).min(1, { error });
}

export const positive = () => number('a number above 0', (value) => value > 0);
export const fromZero = () => number('a number from 0', (value) => value >= 0);
export const yesOrNo = () => z.boolean({ error: 'true or false' });
export const probability = () => number('a number above 0 and up to 1', (value) => value > 0 && value <= 1);
export const decay = () => number('a number from 0 and below 1', (value) => value >= 0 && value < 1);
export const title = () => z.string({ error: 'a text or null' });

/** Data files: one, or several in this order. */
export const filesOf = () =>
  z.union([path('a path'), listOf(path('a path'), 'a list of paths')], { error: 'a path or a list of paths' });
