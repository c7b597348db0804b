/**
 * @file A tensor beyond 4 GiB, which no JavaScript array of Node 20 can hold, is saved and comes back. Takes 5 GB of disk, 3 GB of
 * memory and about a minute.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestFileSync } from '../../src/files/hash.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { writeSafetensors } from '../../src/files/safetensors-write.ts';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { tensorEntries } from '../../src/model/save.ts';
import { mapFile, mappedTensor } from '../../src/torch/mapped-file.ts';
import { fill__Scalar, narrow, zeros } from '../../src/torch/ops.ts';
import { scope, toFloat32Array } from '../../src/torch/tensor.ts';

const [ROWS, COLUMNS] = [140_000, 8192];

test('an embedding of 4.6 GB in fp32 is saved in slices, hashed on the way, and read back', () => {
  const path = join(temporaryFolder(), 'model.safetensors');
  scope('test', () => {
    const embedding = zeros([ROWS, COLUMNS], { dtype: 'bfloat16' });
    for (const row of [0, 70_001, ROWS - 1]) fill__Scalar(narrow(embedding, 0, row, 1), row === 0 ? 1 : row % 97);
    const digest = writeSafetensors(path, tensorEntries(new Map([['embedding', embedding]]), { dtype: 'float32' }));
    expect(digest.bytes).toBeGreaterThan(2 ** 32);
    expect(digestFileSync(path)).toEqual(digest);
    const { dataOffset } = readSafetensorsHeader(path);
    const end = dataOffset + 4 * ROWS * COLUMNS;
    const read = mappedTensor(mapFile(path), { begin: dataOffset, end, dtype: 'float32', shape: [ROWS, COLUMNS] });
    const firstOf = (row: number): number | undefined => toFloat32Array(narrow(read, 0, row, 1))[0];
    expect([0, 1, 70_001, ROWS - 1].map(firstOf)).toEqual([1, 0, 70_001 % 97, (ROWS - 1) % 97]);
  });
  rmSync(path);
});
