import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementBytes, SAFETENSORS_DTYPES } from './dtype.ts';
import { failingFs } from './fs.testing.ts';
import { digestFileSync } from './hash.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { type TensorToWrite, writeSafetensors } from './safetensors-write.ts';
import { temporaryFolder } from './temporary.testing.ts';

const tensor = (name: string): TensorToWrite => ({ name, dtype: 'U8', shape: [2], bytes: Uint8Array.of(1, 2) });

/** All tensors of a file with their bytes. */
function readAll(path: string): TensorToWrite[] {
  const bytes = readFileSync(path);
  const { tensors, dataOffset } = readSafetensorsHeader(path);
  return [...tensors].map(([name, { dtype, shape, begin, end }]) => ({
    name,
    dtype,
    shape,
    bytes: Uint8Array.from(bytes.subarray(dataOffset + begin, dataOffset + end)),
  }));
}

test('writeSafetensors() writes the bytes of the reference library, whatever order it is given', () => {
  const reference = 'test/fixtures/safetensors/reference.safetensors';
  const path = join(temporaryFolder(), 'ours.safetensors');
  writeSafetensors(path, readAll(reference).reverse(), [['format', 'pt']]);
  expect(readFileSync(path).equals(readFileSync(reference))).toBe(true);
});

test('writeSafetensors() gives the size and hash of what it wrote, slice by slice', () => {
  const path = join(temporaryFolder(), 'sliced.safetensors');
  const slices = () => [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4, 5)];
  const digest = writeSafetensors(path, [{ name: 'a', dtype: 'U8', shape: [5], bytes: slices }, tensor('b')]);
  expect(digest).toEqual(digestFileSync(path));
  expect(readAll(path).map(({ bytes }) => bytes)).toEqual([Uint8Array.of(1, 2, 3, 4, 5), Uint8Array.of(1, 2)]);
});

const anyTensor = fc
  .tuple(
    fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__'),
    fc.constantFrom(...SAFETENSORS_DTYPES),
    fc.array(fc.nat(4), { maxLength: 4 }),
    fc.nat(255),
  )
  .map(([name, dtype, shape, fill]): TensorToWrite => {
    const length = shape.reduce((product, size) => product * size, elementBytes(dtype));
    return { name, dtype, shape, bytes: new Uint8Array(length).map((_, i) => (fill + i) % 256) };
  });
const anyTensors = fc.uniqueArray(anyTensor, { selector: ({ name }) => name, maxLength: 8 });
const anyMetadata = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })), {
  selector: ([key]) => key,
  maxLength: 3,
});

test('readSafetensorsHeader() gives back whatever writeSafetensors() wrote', () => {
  const path = join(temporaryFolder(), 'round-trip.safetensors');
  const byName = (a: TensorToWrite, b: TensorToWrite) => (a.name < b.name ? -1 : 1);
  fc.assert(
    fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
      writeSafetensors(
        path,
        tensors.map((item) => ({ ...item, bytes: () => [item.bytes as Uint8Array] })),
        metadata,
      );
      expect(readAll(path).sort(byName)).toEqual(tensors.sort(byName));
      expect(readSafetensorsHeader(path).metadata).toEqual(new Map(metadata));
      expect(readSafetensorsHeader(path).dataOffset % 8).toBe(0);
    }),
    { numRuns: 200, seed: 4 },
  );
});

test.each([
  ['two tensors of one name', [tensor('a'), tensor('a')], 'its name comes twice'],
  ['a tensor named __metadata__', [tensor('__metadata__')], 'its name is not allowed'],
  ['a name that is no text', [tensor('\ud800')], 'its name is not allowed'],
  ['a negative size', [{ ...tensor('a'), shape: [-1] }], 'its shape [-1] is not allowed'],
  ['a fractional size', [{ ...tensor('a'), shape: [1.5] }], 'its shape [1.5] is not allowed'],
  ['a size beyond counting', [{ ...tensor('a'), shape: [2 ** 50, 2 ** 50] }], 'is not allowed'],
  ['bytes that do not fit', [{ ...tensor('a'), shape: [3] }], 'it has 2 bytes, but U8 [3] takes 3'],
  [
    'lazy bytes that do not fit',
    [{ ...tensor('a'), bytes: () => [new Uint8Array(4), new Uint8Array(5)] }],
    'it has 9 bytes, but U8 [2] takes 2',
  ],
])('writeSafetensors() refuses %s', (_, tensors, problem) => {
  const path = join(temporaryFolder(), 'x.safetensors');
  expect(() => writeSafetensors(path, tensors)).toThrow(expect.objectContaining({ code: 'WEIGHTS_UNWRITABLE' }));
  expect(() => writeSafetensors(path, tensors)).toThrow(problem);
});

test('writeSafetensors() refuses a header beyond the limit of the format', () => {
  const path = join(temporaryFolder(), 'x.safetensors');
  expect(() => writeSafetensors(path, [], [['large', 'a'.repeat(100_000_000)]])).toThrow(
    'at most 100000000 are allowed',
  );
});

test('writeSafetensors() on a full disk names the bytes that the whole file needs', () => {
  const path = join(temporaryFolder(), 'x.safetensors');
  const { fs } = failingFs({ call: 3, after: 'once', code: 'ENOSPC' });
  expect(() => writeSafetensors(path, [tensor('a')], [], { fs })).toThrow(
    expect.objectContaining({ code: 'DISK_FULL', details: expect.objectContaining({ bytesNeeded: 8 + 56 + 2 }) }),
  );
});
