import { expect, test } from 'vitest';
import { deviceWishOf } from './device-wish.ts';
import { parseRecipe } from './load.ts';

test('deviceWishOf() asks for the types of training, sampling, and every ranker that computes on the device', () => {
  const recipe = (changes: Record<string, unknown>) =>
    parseRecipe({
      ...{ name: 'x', seed: 1, device: 'cuda', model: 'model', data: { train: 'rows.jsonl' } },
      ranker: { kind: 'function', module: 'reward.ts' },
      objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
      ...{ sampling: { dtype: 'float32' }, training: { learningRate: 1e-6 } },
      ...changes,
    });
  const types = (changes: Record<string, unknown>) => deviceWishOf(recipe(changes)).dtypes?.includes('bfloat16');
  const pairrm = { kind: 'pairrm', model: 'pairrm', dtype: 'bfloat16' };
  expect(deviceWishOf(recipe({})).device).toBe('cuda');
  expect(types({})).toBe(false);
  expect(types({ training: { learningRate: 1e-6, dtype: 'bfloat16' } })).toBe(true);
  expect(types({ sampling: { dtype: 'bfloat16' } })).toBe(true);
  expect(types({ ranker: pairrm })).toBe(true);
  expect(types({ secondOpinion: { ranker: pairrm } })).toBe(true);
  expect(types({ ranker: { kind: 'people' }, select: { budget: 2, beliefs: 'otherwise', otherwise: pairrm } })).toBe(
    true,
  );
});
