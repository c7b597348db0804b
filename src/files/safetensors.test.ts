import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ModelError } from '../errors.ts';
import { elementBytes, isSafetensorsDtype, SAFETENSORS_DTYPES, tensorBytes } from './dtype.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { temporaryFolder } from './temporary.testing.ts';

/** A file of a header text and data bytes. */
function fileOf(header: string | Uint8Array, data: number | Uint8Array = 0, headerLength?: bigint): string {
  const path = join(temporaryFolder(), 'model.safetensors');
  const bytes = typeof header === 'string' ? Buffer.from(header, 'utf8') : header;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(bytes.length));
  writeFileSync(path, Buffer.concat([length, bytes, typeof data === 'number' ? Buffer.alloc(data) : data]));
  return path;
}

const I32 = (shape: string, offsets: string) => `{"dtype":"I32","shape":${shape},"data_offsets":${offsets}}`;

test('readSafetensorsHeader() reads what the reference library wrote', () => {
  const file = readSafetensorsHeader('test/fixtures/safetensors/reference.safetensors');
  expect([...file.tensors]).toEqual([
    ['ids', { dtype: 'I64', shape: [2], begin: 0, end: 16 }],
    ['b.weight', { dtype: 'F32', shape: [2, 3], begin: 16, end: 40 }],
    ['empty', { dtype: 'F32', shape: [0, 4], begin: 40, end: 40 }],
    ['scalar', { dtype: 'F32', shape: [], begin: 40, end: 44 }],
    ['a.weight', { dtype: 'BF16', shape: [4], begin: 44, end: 52 }],
    ['half', { dtype: 'F16', shape: [3], begin: 52, end: 58 }],
    ['eight', { dtype: 'F8_E4M3', shape: [2], begin: 58, end: 60 }],
    ['bytes', { dtype: 'U8', shape: [3], begin: 60, end: 63 }],
    ['mask', { dtype: 'BOOL', shape: [3], begin: 63, end: 66 }],
  ]);
  expect([...file.metadata]).toEqual([['format', 'pt']]);
  expect(file.dataOffset).toBe(584);
});

// The first group is the reference library's own test list (safetensors/src/tensor.rs).
const accepted: [string, string, number][] = [
  ['a scalar', `{"test":${I32('[]', '[0,4]')}}`, 4],
  ['a matrix', `{"test":${I32('[2,2]', '[0,16]')}}`, 16],
  ['a header padded with white space', '{}\r \t\n', 0],
  ['a tensor without elements', `{"test":${I32('[2,0]', '[0, 0]')}}`, 0],
  ['tensors named in another order than their data', `{"b":${I32('[1]', '[4,8]')},"a":${I32('[1]', '[0,4]')}}`, 8],
  [
    'several empty tensors beside a full one',
    `{"a":${I32('[1]', '[0,4]')},"b":${I32('[0]', '[0,0]')},"c":${I32('[0]', '[4,4]')}}`,
    4,
  ],
  ['null metadata', '{"__metadata__":null}', 0],
  [
    'tensors named __proto__ and constructor',
    `{"__proto__":${I32('[1]', '[0,4]')},"constructor":${I32('[1]', '[4,8]')}}`,
    8,
  ],
  ['fields of later versions of the format', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"later":{}}}', 1],
];

test.each(accepted)('readSafetensorsHeader() accepts %s', (_, header, dataBytes) => {
  const expected = Object.keys(JSON.parse(header)).filter((name) => name !== '__metadata__');
  expect([...readSafetensorsHeader(fileOf(header, dataBytes)).tensors.keys()].sort()).toEqual(expected.sort());
});

const refused: [string, string | Uint8Array, number, string][] = [
  [
    'tensors that share bytes',
    `{"a":${I32('[2,2]', '[0,16]')},"b":${I32('[2,2]', '[0,16]')}}`,
    16,
    'tensor "b": data_offsets overlap',
  ],
  ['bytes after the last tensor', `{"a":${I32('[2,2]', '[0,16]')}}`, 50, 'bytes that belong to no tensor'],
  ['fewer bytes than the tensors take', `{"a":${I32('[2,2]', '[0,16]')}}`, 14, 'it is truncated'],
  ['a header that is not UTF-8', Uint8Array.of(0x7b, 0xff), 0, 'header is not UTF-8'],
  ['a header that is not JSON', '{', 0, 'header is not JSON'],
  ['an empty header', '', 0, 'does not begin with "{"'],
  ['a header that begins with white space', '\t\n{}', 0, 'does not begin with "{"'],
  ['a header with a byte order mark', '\ufeff{}', 0, 'does not begin with "{"'],
  [
    'offsets that do not fit the shape',
    `{"a":${I32('[2,2]', '[0, 4]')}}`,
    4,
    'data_offsets span 4 bytes, but I32 [2,2] takes 16',
  ],
  [
    'a shape beyond 64 bits',
    `{"a":${I32('[2,18446744073709551614]', '[0,16]')}}`,
    16,
    'shape has 18446744073709551614',
  ],
  ['a product beyond 53 bits', `{"a":${I32('[4294967296,4294967296]', '[0,16]')}}`, 16, 'is too large'],
  ['a hole between tensors', `{"a":${I32('[1]', '[0,4]')},"b":${I32('[1]', '[8,12]')}}`, 12, 'leave a hole'],
  ['a hole at the start', `{"a":${I32('[1]', '[4,8]')}}`, 8, 'leave a hole'],
  ['an end before the begin', `{"a":${I32('[1]', '[4,0]')}}`, 4, 'leave a hole'],
  [
    'an end before the begin after a tensor',
    `{"a":${I32('[1]', '[0,4]')},"b":${I32('[1]', '[4,0]')}}`,
    4,
    'span -4 bytes',
  ],
  ['a negative offset', `{"a":${I32('[1]', '[-4,0]')}}`, 0, 'data_offsets has -4'],
  ['a fractional size', `{"a":${I32('[1.0]', '[0,4]')}}`, 4, 'shape has 1.0'],
  ['a size in exponent form', `{"a":${I32('[1e0]', '[0,4]')}}`, 4, 'shape has 1e0'],
  ['a size that is a text', `{"a":${I32('["1"]', '[0,4]')}}`, 4, 'shape has "1"'],
  ['a size that is a list', `{"a":${I32('[[1]]', '[0,4]')}}`, 4, 'shape has not a plain value'],
  ['a shape that is no list', `{"a":${I32('4', '[0,4]')}}`, 4, 'shape is not a list'],
  ['three offsets', `{"a":${I32('[1]', '[0,4,8]')}}`, 4, 'data_offsets is not a list of two numbers'],
  ['missing offsets', '{"a":{"dtype":"U8","shape":[1]}}', 1, 'data_offsets is not a list'],
  [
    'an unknown type',
    '{"a":{"dtype":"F128","shape":[1],"data_offsets":[0,1]}}',
    1,
    'dtype is "F128", allowed are BOOL, U8',
  ],
  ['a missing type', '{"a":{"shape":[1],"data_offsets":[0,1]}}', 1, 'dtype is missing'],
  ['an entry that is no object', '{"a":[]}', 0, 'tensor "a": entry is not an object'],
  ['a tensor named twice', `{"a":${I32('[1]', '[0,4]')},"a":${I32('[1]', '[4,8]')}}`, 8, 'key "a" comes twice'],
  [
    'a field given twice',
    '{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
    1,
    'key "dtype" comes twice',
  ],
  ['metadata that is no object', '{"__metadata__":[]}', 0, '__metadata__ is not an object'],
  [
    'a metadata value that is no text',
    '{"__metadata__":{"n":1}}',
    0,
    '__metadata__ has a value of "n" that is not a string',
  ],
  ['a name of a megabyte', `{"${'n'.repeat(1_000_000)}":1}`, 0, 'entry is not an object'],
];

test.each(refused)('readSafetensorsHeader() refuses %s', (_, header, dataBytes, problem) => {
  const path = fileOf(header, dataBytes);
  expect(() => readSafetensorsHeader(path)).toThrow(
    expect.objectContaining({ name: 'ModelError', code: 'WEIGHTS_INVALID' }),
  );
  expect(() => readSafetensorsHeader(path)).toThrow(problem);
  expect(() => readSafetensorsHeader(path)).toThrow(path);
  expect(() => readSafetensorsHeader(path)).toThrow(/^.{0,600}$/s);
});

test('readSafetensorsHeader() refuses a file cut at any byte', () => {
  const whole = readFileSync('test/fixtures/safetensors/reference.safetensors');
  const path = join(temporaryFolder(), 'cut.safetensors');
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    expect(() => readSafetensorsHeader(path), `${length} bytes`).toThrow('it is truncated');
  }
});

test('readSafetensorsHeader() refuses header lengths beyond the limit and beyond the file', () => {
  expect(() => readSafetensorsHeader(fileOf('{}', 0, 0xffffff000000003cn))).toThrow('at most 100000000 are allowed');
  expect(() => readSafetensorsHeader(fileOf('{}', 0, 100_000_001n))).toThrow('at most 100000000 are allowed');
  expect(() => readSafetensorsHeader(fileOf('{}', 0, 100_000_000n))).toThrow('it is truncated');
});

test('readSafetensorsHeader() names a missing file and refuses what is no file', () => {
  const folder = temporaryFolder();
  expect(() => readSafetensorsHeader(join(folder, 'no'))).toThrow(expect.objectContaining({ code: 'WEIGHTS_MISSING' }));
  expect(() => readSafetensorsHeader(folder)).toThrow('it is not a regular file');
  mkdirSync(join(folder, 'x'));
  writeFileSync(join(folder, 'file'), '');
  expect(() => readSafetensorsHeader(join(folder, 'file/inside'))).toThrow(
    expect.objectContaining({ code: 'WEIGHTS_UNREADABLE', message: expect.stringContaining('ENOTDIR') }),
  );
});

test('readSafetensorsHeader() of a damaged file is a ModelError or a header whose tensors cover the data exactly', () => {
  const whole = readFileSync('test/fixtures/safetensors/reference.safetensors');
  const path = join(temporaryFolder(), 'damaged.safetensors');
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  let read = 0;
  fc.assert(
    fc.property(damage, (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(path, bytes);
      try {
        const file = readSafetensorsHeader(path);
        let end = 0;
        for (const entry of file.tensors.values()) {
          expect(entry.begin).toBe(end);
          expect(entry.end - entry.begin).toBe(tensorBytes(entry.dtype, entry.shape));
          end = entry.end;
        }
        expect(file.dataOffset + end).toBe(bytes.length);
        read++;
      } catch (error) {
        if (!(error instanceof ModelError)) throw error;
      }
    }),
    { numRuns: 3000, seed: 3 },
  );
  // Some damage hits only names or data and must still be read: the property is not empty.
  expect(read).toBeGreaterThan(100);
});

test('elementBytes() knows the size of every type', () => {
  expect(SAFETENSORS_DTYPES.map(elementBytes)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]);
  expect(isSafetensorsDtype('BF16')).toBe(true);
  expect(isSafetensorsDtype('toString')).toBe(false);
});

test('tensorBytes() counts exactly up to 2^53 and says when it cannot', () => {
  expect(tensorBytes('F32', [])).toBe(4);
  expect(tensorBytes('U8', [Number.MAX_SAFE_INTEGER])).toBe(Number.MAX_SAFE_INTEGER);
  expect(tensorBytes('U8', [Number.MAX_SAFE_INTEGER, 2])).toBeNull();
  expect(tensorBytes('F64', [2 ** 40, 2 ** 40, 0])).toBe(0);
});
