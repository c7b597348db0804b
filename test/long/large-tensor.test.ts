/**
 * @file A tensor of 5 GB, which no JavaScript array of Node 20 can hold, is saved in slices. It comes from a sparse file; what is saved
 * takes 5 GB of disk, and no more memory than a slice. About half a minute.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFs } from '../../src/files/fs.ts';
import { digestFileSync } from '../../src/files/hash.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { writeSafetensors } from '../../src/files/safetensors-write.ts';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { tensorEntries } from '../../src/model/save.ts';
import { mapFile, mappedTensor } from '../../src/torch/mapped-file.ts';
import { memoryStatistics, resetPeak } from '../../src/torch/memory.ts';
import { SPARSE_SHAPE, writeSparseFile } from '../../src/torch/sparse-file.testing.ts';
import { scope } from '../../src/torch/tensor.ts';

test('a tensor of 5 GB is saved in slices, hashed on the way and not read back, to the bytes that it was read from', () => {
  const folder = temporaryFolder();
  const [source, saved] = [join(folder, 'source.safetensors'), join(folder, 'saved.safetensors')];
  const bytes = writeSparseFile(source, [0, 270_000, SPARSE_SHAPE[0] - 1]);
  const { dataOffset } = readSafetensorsHeader(source);
  const refuse = (): never => {
    throw new Error('what is written is not read back');
  };
  scope('test', () => {
    const range = { begin: dataOffset, end: bytes, dtype: 'bfloat16', shape: SPARSE_SHAPE } as const;
    const embedding = mappedTensor(mapFile(source), range);
    resetPeak();
    const before = memoryStatistics().tensorBytes;
    const entries = tensorEntries(new Map([['embedding', embedding]]), { dtype: 'as-it-is' });
    const digest = writeSafetensors(saved, entries, [], { fs: { ...nodeFs, readSync: refuse } });
    expect(digest).toEqual(digestFileSync(source));
    // A slice of 16 MiB, and its conversion.
    expect(memoryStatistics().peakTensorBytes - before).toBeLessThan(64 * 2 ** 20);
    expect(digestFileSync(saved)).toEqual(digest);
  });
});
