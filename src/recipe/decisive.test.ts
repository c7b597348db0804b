import { expect, test } from 'vitest';
import { decisiveSettings } from './decisive.ts';
import { sftRecipeSchema } from './sft.ts';

test('decisiveSettings() leaves out memory, speed and defaults, so that changing them keeps checkpoints', () => {
  const of = (changes: Record<string, unknown>) => {
    const training = { learningRate: 1e-6, ...changes };
    return decisiveSettings(
      sftRecipeSchema.parse({ name: 'a', model: 'm', data: { train: 'rows' }, training }).training,
    );
  };
  expect(of({})).toEqual({ learningRate: 1e-6 });
  expect(of({ microBatchTokens: 64, activations: 'recompute', checkpointEverySteps: 1 })).toEqual(of({}));
  expect(of({ batchSize: 16, adapter: { kind: 'lora' } })).toMatchObject({ batchSize: 16, adapter: { kind: 'lora' } });
});
