/** @file What opening a policy takes: its own weights, and no second copy of the model on the way. */
import { expect, test } from 'vitest';
import { isOnCpu } from '../../test/support/device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { initialAdapter } from '../model/adapter/lora.ts';
import { noGrad } from '../torch/autograd.ts';
import { memoryStatistics, resetPeak } from '../torch/memory.ts';
import { to_dtype } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { openPolicy, type PolicyOptions } from './policy.ts';

/** Six blocks, so that one weight is small beside all of them. */
const config = smallConfig({ hidden_size: 64, intermediate_size: 128, num_hidden_layers: 6 });

/** Bytes above what is kept at the end, at the worst moment of opening. */
function overhead(options: PolicyOptions, { adapted }: { adapted: boolean }): { bytes: number; kept: number } {
  const weights = outlive(
    scope('bf16 weights', () => {
      const wide = smallWeights(config);
      return noGrad(
        () => new Map([...wide].map(([name, weight]): [string, Tensor] => [name, to_dtype(weight, 'bfloat16')])),
      );
    }),
  );
  const settings = { rank: 2, alpha: 4, targets: 'all-linear' as const, rankStabilised: false };
  const adapter = adapted ? outlive(scope('an adapter', () => initialAdapter(config, { settings, seed: 1 }))) : null;
  const before = memoryStatistics().tensorBytes;
  resetPeak();
  const policy = openPolicy({ config, weights, adapter }, options);
  const { peakTensorBytes, tensorBytes } = memoryStatistics();
  policy.dispose();
  disposeAll([weights, adapter?.factors]);
  return { bytes: peakTensorBytes - tensorBytes, kept: tensorBytes - before };
}

// Bytes are counted on the CPU.
test.skipIf(!isOnCpu).each([
  ['all weights in training', { dtype: 'bfloat16', purpose: 'train' }, false],
  ['all weights in training, an adapter merged into them', { dtype: 'float32', purpose: 'train' }, true],
  ['a reference, an adapter merged into it', { dtype: 'float32', purpose: 'score' }, true],
] as [string, PolicyOptions, boolean][])('opening %s has one weight twice at most', (_, options, adapted) => {
  const { bytes, kept } = overhead(options, { adapted });
  // The widest matrix in fp32, once as it is converted and once as an adapter is added to it.
  expect(bytes).toBeLessThanOrEqual(2 * 64 * 128 * 4);
  expect(kept).toBeGreaterThan(20 * 64 * 128 * 4);
});
