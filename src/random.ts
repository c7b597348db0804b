/**
 * @file All randomness of the package: a counter-based generator, so that a number depends on what it is for (seed,
 * iteration, prompt, sample, position) and never on what was drawn before it, who shared its batch, or a restart.
 * `uniformAt(randomKey(seed, 'sample', iteration, promptId, sampleIndex), position)`. Keeps no state between calls.
 * Not for secrets.
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { RecipeError } from './errors.ts';

/**
 * A stream of random numbers: 64 bits are the Philox key, 64 bits are the upper half of its counter. Use one key for
 * one purpose: `uniformAt`, `normalAt` and `permutation` of the same key read the same blocks.
 */
export interface RandomKey {
  readonly key0: number;
  readonly key1: number;
  readonly stream0: number;
  readonly stream1: number;
}

/** Four 32-bit words. */
export type Words = readonly [number, number, number, number];

// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", https://doi.org/10.1145/2063384.2063405, and
// Random123's philox.h: the multipliers, and the Weyl constants (golden ratio, sqrt(3) - 1) that step the key.
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

const TWO_32 = 0x1_0000_0000;

/**
 * The key for (seed, ...path): the first 128 bits of SHA-256 over an encoding in which different lists never collide
 * (a tag and a length before each part; 1 and '1' differ, and so do ['ab', 'c'] and ['a', 'bc']). Part of the run's
 * results: it never changes.
 *
 * @param seed any safe integer
 * @param path what the numbers are for; numbers are safe integers
 * @throws RecipeError SEED_NOT_INTEGER
 */
export function randomKey(seed: number, ...path: (string | number)[]): RandomKey {
  if (!Number.isSafeInteger(seed)) {
    throw new RecipeError(
      'SEED_NOT_INTEGER',
      `Cannot derive random numbers from seed ${seed}: a seed is an integer between -(2^53 - 1) and 2^53 - 1`,
      { details: { seed } },
    );
  }
  const hash = createHash('sha256');
  for (const part of ['selm-random-1', seed, ...path]) hash.update(encodePart(part));
  const digest = hash.digest();
  return {
    key0: digest.readUInt32LE(0),
    key1: digest.readUInt32LE(4),
    stream0: digest.readUInt32LE(8),
    stream1: digest.readUInt32LE(12),
  };
}

/**
 * The uniform number of `key` at `counter`, in [0, 1), a multiple of 2^-53.
 *
 * @param counter an integer from 0 to 2^53 - 1; each has its own block of the generator
 */
export function uniformAt(key: RandomKey, counter: number): number {
  fillBlock(key, counter);
  return uniformOf(block[0] as number, block[1] as number);
}

/** The uniform numbers of `key` one after the other, the first at counter 0. */
export function drawsFrom(key: RandomKey): () => number {
  let next = 0;
  return () => uniformAt(key, next++);
}

/**
 * The standard normal number of `key` at `counter`: Box and Muller 1958, the cosine branch, from the two uniform
 * numbers of one block. At most 8.57 in size, since the smallest uniform number is 2^-53. Bits are stable for one
 * version of Node: `Math.log` and `Math.cos` are V8's own.
 */
export function normalAt(key: RandomKey, counter: number): number {
  fillBlock(key, counter);
  const radius = 1 - uniformOf(block[0] as number, block[1] as number); // (0, 1]: the logarithm stays finite
  const angle = uniformOf(block[2] as number, block[3] as number);
  return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
}

/**
 * A permutation of 0 .. n-1, each of the n! equally likely as far as the generator allows: Fisher and Yates, with
 * indices made unbiased by rejection.
 */
export function permutation(n: number, key: RandomKey): Int32Array {
  assert(Number.isInteger(n) && n >= 0 && n < 2 ** 31, `permutation() takes a length below 2^31, not ${n}`);
  const items = Int32Array.from({ length: n }, (_, index) => index);
  let counter = 0;
  let lane = 4;
  const nextWord = (): number => {
    if (lane === 4) {
      fillBlock(key, counter++);
      lane = 0;
    }
    return block[lane++] as number;
  };
  for (let last = n - 1; last > 0; last--) {
    const bound = last + 1;
    const limit = TWO_32 - (TWO_32 % bound); // words from here on would favour the small indices
    let word = nextWord();
    while (word >= limit) word = nextWord();
    const chosen = word % bound;
    const moved = items[last] as number;
    items[last] = items[chosen] as number;
    items[chosen] = moved;
  }
  return items;
}

/** One block of Philox4x32-10 as published: counter and key in, four words out, all unsigned 32-bit. */
export function philox4x32(counter: Words, key: readonly [number, number]): Words {
  philoxInto(block, counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
  return [block[0] as number, block[1] as number, block[2] as number, block[3] as number];
}

/** Where a block is written: one for all calls, so that drawing allocates nothing. Never read across calls. */
const block = new Uint32Array(4);

function fillBlock(key: RandomKey, counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0)
    assert.fail(`A random counter is an integer from 0 on, not ${counter}`);
  philoxInto(block, counter, Math.floor(counter / TWO_32), key.stream0, key.stream1, key.key0, key.key1);
}

/** 53 bits of two words: 27 of the first above 26 of the second. */
function uniformOf(high: number, low: number): number {
  return ((high >>> 5) * 0x400_0000 + (low >>> 6)) / 0x20_0000_0000_0000;
}

function philoxInto(
  out: Uint32Array,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
): void {
  let c0 = counter0 | 0;
  let c1 = counter1 | 0;
  let c2 = counter2 | 0;
  let c3 = counter3 | 0;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit words, by 16-bit halves: doubles would round it. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const cross0 = Math.imul(aHigh, bLow);
  const cross1 = Math.imul(aLow, bHigh);
  const middle = (Math.imul(aLow, bLow) >>> 16) + (cross0 & 0xffff) + (cross1 & 0xffff);
  return (Math.imul(aHigh, bHigh) + (cross0 >>> 16) + (cross1 >>> 16) + (middle >>> 16)) | 0;
}

/** Tag, length in bytes (32 bits), bytes. UTF-16 keeps apart even strings that UTF-8 cannot (lone surrogates). */
function encodePart(part: string | number): Buffer {
  let body: Buffer;
  if (typeof part === 'number') {
    assert(Number.isSafeInteger(part), `A number in the path of a random key is a safe integer, not ${part}`);
    body = Buffer.alloc(8);
    body.writeDoubleBE(part + 0); // -0 and 0 are the same seed
  } else {
    body = Buffer.from(part, 'utf16le');
  }
  const head = Buffer.alloc(5);
  head.writeUInt8(typeof part === 'number' ? 1 : 2, 0);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}
