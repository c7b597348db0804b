/** @file What is copied when weights are laid out for products by rows. */
import { expect, test } from 'vitest';
import { dtypeBytes } from '../torch/dtype.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { disposeAll, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import { loadModel } from './load.ts';
import { openRowWeights } from './row-weights.ts';
import { EMBEDDING, weightOf } from './weights.ts';

const MODEL = 'assets/stories260K';

test('openRowWeights() copies no embedding, and reads it when the model is closed', () => {
  const model = loadModel(MODEL);
  const embedding = toFloat32Array(weightOf(model.weights, EMBEDDING));
  const before = memoryStatistics().tensorBytes;

  const rows = openRowWeights(model, 'float32');
  model.dispose();

  const { blocks, finalNorm, head } = rows.packed;
  const bytesOf = (tensor: Tensor | null): number => (tensor === null ? 0 : tensor.size * dtypeBytes(tensor.dtype));
  const copied = [...blocks, finalNorm, head.panels].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  expect(memoryStatistics().tensorBytes - before).toBe(copied);
  expect(toFloat32Array(rows.embedding)).toEqual(embedding);
  disposeAll(rows);
});
