/** @file Golden values of the generator (published, and by a separate Python implementation) and its distributions. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalAt, permutation, philox4x32, randomKey, uniformAt, type Words } from './random.ts';

const KEY = randomKey(42, 'sample', 1, 'prompt-a', 0);

describe('philox4x32()', () => {
  // Random123 1.14, tests/kat_vectors, the three lines "philox4x32 10": counter, key, expected.
  it.each([
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [
      'ones',
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      'digits of pi',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as [string, Words, [number, number], Words][])(
    "matches Random123's published vector of %s",
    (_, counter, key, out) => {
      expect(philox4x32(counter, key)).toEqual(out);
    },
  );

  it('equals an implementation with exact 64-bit products for any counter and key', () => {
    const word = fc.nat({ max: 0xffffffff });
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
        expect(philox4x32(counter, key)).toEqual(philoxByBigInt(counter, key));
      }),
      { numRuns: 500 },
    );
  });
});

describe('randomKey()', () => {
  // From a separate implementation in Python (hashlib and struct): these values may never change.
  it.each([
    [
      [42, 'sample', 1, 'prompt-a', 0],
      [3249172929, 2648253703, 2969212555, 3332963352],
    ],
    [[0], [1144078822, 3765541664, 3756269338, 545491877]],
    [
      [-7, 'ü😀'],
      [2434722784, 567154273, 1202739532, 3775172453],
    ],
  ] as [[number, ...(string | number)[]], number[]][])('of %j is the same for ever', (path, words) => {
    const key = randomKey(...path);
    expect([key.key0, key.key1, key.stream0, key.stream1]).toEqual(words);
  });

  it('tells apart numbers from strings, and where one part ends and the next begins', () => {
    const paths: (string | number)[][] = [
      [1],
      ['1'],
      [1, 1],
      ['11'],
      ['1', '1'],
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc'],
      ['abc', ''],
      ['', 'abc'],
      [],
      [''],
      ['\ud800'],
      ['\ufffd'],
    ];
    const keys = new Set(paths.map((path) => JSON.stringify(randomKey(0, ...path))));
    expect(keys.size).toBe(paths.length);
  });

  it('takes -0 for 0', () => {
    expect(randomKey(-0, -0)).toEqual(randomKey(0, 0));
  });

  it.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('refuses the seed %d', (seed) => {
    expect(() => randomKey(seed)).toThrow(expect.objectContaining({ code: 'SEED_NOT_INTEGER' }));
  });
});

describe('uniformAt()', () => {
  // From the separate implementation in Python; the last two need both words of the counter.
  it.each([
    [0, 0.5531484380405737],
    [1, 0.26397056297625565],
    [2, 0.025685592012660075],
    [2 ** 32, 0.3450867021200208],
    [2 ** 53 - 1, 0.9504185483073864],
  ])('at counter %d is the same for ever', (counter, value) => {
    expect(uniformAt(KEY, counter)).toBe(value);
  });

  it('stays in [0, 1) on multiples of 2^-53, and uses the last bit', () => {
    const scaled = Array.from({ length: 1000 }, (_, counter) => uniformAt(KEY, counter) * 2 ** 53);
    expect(scaled.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 53)).toBe(true);
    expect(scaled.filter((value) => value % 2 === 1).length).toBeGreaterThan(400);
  });

  it('fills 100 cells evenly', () => {
    const cells = new Array<number>(100).fill(0);
    const draws = 100_000;
    for (let counter = 0; counter < draws; counter++) {
      const cell = Math.floor(uniformAt(KEY, counter) * 100);
      cells[cell] = (cells[cell] ?? 0) + 1;
    }
    const expected = draws / 100;
    const chiSquared = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 99 degrees of freedom: below 161 with probability 0.9999 (and the key is fixed, so this never flickers).
    expect(chiSquared).toBeLessThan(161);
  });

  it('refuses a counter that is no whole number from 0 on', () => {
    for (const counter of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => uniformAt(KEY, counter)).toThrow(/counter/);
  });
});

describe('normalAt()', () => {
  // From the separate implementation in Python; its logarithm and cosine may differ from V8's in the last bit or two.
  it.each([
    [0, -0.3738834221235503],
    [1, 0.2521131062921083],
    [2 ** 53 - 1, 1.8924516645552063],
  ])('at counter %d is the Box-Muller value', (counter, value) => {
    expect(Math.abs(normalAt(KEY, counter) - value)).toBeLessThan(1e-14);
  });

  it('has mean 0, variance 1, kurtosis 3 and the tails of a normal distribution', () => {
    const draws = 200_000;
    const moments = [0, 0, 0, 0];
    let beyondTwo = 0;
    for (let counter = 0; counter < draws; counter++) {
      const value = normalAt(KEY, counter);
      for (let power = 0; power < 4; power++) moments[power] = (moments[power] ?? 0) + value ** (power + 1) / draws;
      if (Math.abs(value) > 2) beyondTwo++;
    }
    // Four standard errors: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n) and sqrt(p(1-p)/n).
    const error = (variance: number): number => 4 * Math.sqrt(variance / draws);
    expect(Math.abs(moments[0] ?? Number.NaN)).toBeLessThan(error(1));
    expect(Math.abs((moments[1] ?? Number.NaN) - 1)).toBeLessThan(error(2));
    expect(Math.abs(moments[2] ?? Number.NaN)).toBeLessThan(error(15));
    expect(Math.abs((moments[3] ?? Number.NaN) - 3)).toBeLessThan(error(96));
    expect(Math.abs(beyondTwo / draws - 0.0455)).toBeLessThan(error(0.0455 * 0.9545));
  });
});

describe('permutation()', () => {
  // From the separate implementation in Python.
  it('of ten is the same for ever', () => {
    expect([...permutation(10, KEY)]).toEqual([9, 3, 8, 7, 0, 5, 4, 1, 2, 6]);
  });

  it('of the 61,135 rows of UltraFeedback is the same for ever', () => {
    const items = permutation(61135, KEY);
    const digest = createHash('sha256').update(new Uint8Array(items.buffer)).digest('hex');
    expect(digest).toBe('9230b08a2e4d252d4b7ccfae75607bdbe3b84594dd294d04665e3db3c8712834');
  });

  it('holds every index once, for any length', () => {
    fc.assert(
      fc.property(fc.nat({ max: 300 }), fc.nat(), (n, seed) => {
        const sorted = permutation(n, randomKey(seed)).sort();
        expect([...sorted]).toEqual(Array.from({ length: n }, (_, index) => index));
      }),
    );
  });

  it('gives each of the 24 orders of four items equally often', () => {
    const counts = new Map<string, number>();
    const draws = 24_000;
    for (let draw = 0; draw < draws; draw++) {
      const order = permutation(4, randomKey(7, draw)).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // 23 degrees of freedom: below 56 with probability 0.9999.
    expect(chiSquared).toBeLessThan(56);
  });

  it('refuses a length that is no whole number below 2^31', () => {
    for (const n of [-1, 1.5, 2 ** 31, Number.NaN]) expect(() => permutation(n, KEY)).toThrow(/length/);
  });
});

/** Philox4x32-10 with exact integers, from the paper's formulas. */
function philoxByBigInt(counter: Words, key: readonly [number, number]): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const product0 = 0xd2511f53n * c0;
    const product1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(product1 >> 32n) ^ c1 ^ k0, product1 & mask, (product0 >> 32n) ^ c3 ^ k1, product0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}
