import { expect, test } from 'vitest';
import { CHANGES } from './fields.ts';
import { fieldAt } from './keys.ts';
import { recipeKeys, recipeSchema } from './schema.ts';
import { sftRecipeKeys, sftRecipeSchema } from './sft.ts';

test.each([
  ['a recipe of selm train', recipeSchema, recipeKeys()],
  ['a recipe of selm sft', sftRecipeSchema, sftRecipeKeys()],
])('every field of %s says what its change means for a run in progress', (_, schema, keys) => {
  const silent = keys.filter((key) => {
    const field = fieldAt(schema, key);
    const says = field !== null && field.change !== null && CHANGES.includes(field.change);
    return !says && field?.isSection !== true;
  });
  expect(silent).toEqual([]);
});

test('fieldAt() takes the kind of a section from the recipe', () => {
  const at = (kind: string) => fieldAt(recipeSchema, 'ranker.model', { ranker: { kind } });
  expect(at('judge')).toMatchObject({ change: 'rank', comparedByContent: false });
  expect(at('pairrm')).toMatchObject({ change: 'rank', comparedByContent: true });
  expect(fieldAt(recipeSchema, 'training.microBatchTokens')).toMatchObject({ change: 'free', default: 8192 });
  expect(fieldAt(recipeSchema, 'training.none')).toBeNull();
});
