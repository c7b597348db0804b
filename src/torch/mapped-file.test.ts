/** @file Files as tensors, also those that no JavaScript array could hold. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readSafetensorsHeader } from '../files/safetensors.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { mapFile, mappedTensor } from './mapped-file.ts';
import { memoryStatistics, resetPeak } from './memory.ts';
import { narrow, to_dtype } from './ops.ts';
import { SPARSE_SHAPE, writeSparseFile } from './sparse-file.testing.ts';
import { scope, toFloat32Array } from './tensor.ts';

it('rows of a tensor of 5 GB are read where they lie, and nothing else comes into memory', () => {
  const path = join(temporaryFolder(), 'model.safetensors');
  const [rows] = SPARSE_SHAPE;
  const bytes = writeSparseFile(path, [270_000, rows - 1]);
  expect(bytes).toBeGreaterThan(5e9);
  expect(statSync(path).blocks * 512, 'the file is sparse').toBeLessThan(1e6);
  const { dataOffset, tensors } = readSafetensorsHeader(path);
  expect(tensors.get('embedding')).toMatchObject({ shape: SPARSE_SHAPE, end: bytes - dataOffset });
  scope('read rows', () => {
    const before = memoryStatistics().tensorBytes;
    resetPeak();
    const embedding = mappedTensor(mapFile(path), {
      begin: dataOffset,
      end: bytes,
      dtype: 'bfloat16',
      shape: SPARSE_SHAPE,
    });
    const sumOf = (row: number): number =>
      toFloat32Array(to_dtype(narrow(embedding, 0, row, 1), 'float32')).reduce((sum, value) => sum + value, 0);
    expect([0, 269_999, 270_000, rows - 1].map(sumOf)).toEqual([0, 0, 8192, 8192]);
    // A row in fp32, of each that was read.
    expect(memoryStatistics().peakTensorBytes - before).toBeLessThan(1e6);
  });
});
