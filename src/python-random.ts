/**
 * @file Python's `random.Random`, where a protocol was defined by it: the Mersenne twister (Matsumoto and Nishimura 1998) with Python's
 * ways of seeding and drawing. Which examples lm-evaluation-harness shows, and which order AlpacaEval shows two outputs in, depend
 * on it to the bit. selm's own randomness is in src/random.ts.
 */
import { createHash } from 'node:crypto';

const SIZE = 624;
const MIDDLE = 397;

/** A generator in the state that `random.Random(seed)` starts in. */
export class PythonRandom {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;
  #keptGauss: number | null = null;

  /** @param seed a whole number from 0 to 2^32 - 1, or a text */
  constructor(seed: number | string) {
    this.#seed(typeof seed === 'number' ? [seed >>> 0] : wordsOf(seed));
  }

  /** A number in [0, 1), of 53 random bits. */
  random(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** One of the values, as `choices(values)[0]`. */
  choices<Value>(values: readonly Value[]): Value | undefined {
    return values[Math.floor(this.random() * values.length)];
  }

  /** One of the values, as `choice(values)`, which draws otherwise. */
  choice<Value>(values: readonly Value[]): Value | undefined {
    return values[this.#below(values.length)];
  }

  /** A number of the standard normal distribution, as `gauss(0, 1)`: they are made in pairs, and the second is kept. */
  gauss(): number {
    const kept = this.#keptGauss;
    if (kept !== null) {
      this.#keptGauss = null;
      return kept;
    }
    const angle = this.random() * 2 * Math.PI;
    const radius = Math.sqrt(-2 * Math.log(1 - this.random()));
    this.#keptGauss = Math.sin(angle) * radius;
    return Math.cos(angle) * radius;
  }

  /** `count` different places of 0 .. size - 1, as `sample(range(size), count)`. */
  sample(size: number, count: number): number[] {
    if (count > size) throw new RangeError(`Cannot draw ${count} of ${size} without putting back`);
    const setSize = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0);
    return size <= setSize ? this.#sampleByPool(size, count) : this.#sampleBySet(size, count);
  }

  #sampleByPool(size: number, count: number): number[] {
    const pool = Array.from({ length: size }, (_, place) => place);
    return Array.from({ length: count }, (_, drawn) => {
      const place = this.#below(size - drawn);
      const value = pool[place] ?? 0;
      pool[place] = pool[size - drawn - 1] ?? 0;
      return value;
    });
  }

  #sampleBySet(size: number, count: number): number[] {
    const chosen = new Set<number>();
    while (chosen.size < count) chosen.add(this.#below(size));
    return [...chosen];
  }

  /** A whole number below `limit`. */
  #below(limit: number): number {
    const bits = 32 - Math.clz32(limit);
    let value = this.#word() >>> (32 - bits);
    while (value >= limit) value = this.#word() >>> (32 - bits);
    return value;
  }

  /** The generator's own initialisation by an array of words. */
  #seed(key: readonly number[]): void {
    const state = this.#state;
    state[0] = 19650218;
    for (let i = 1; i < SIZE; i++) {
      const last = state[i - 1] ?? 0;
      state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
    let i = 1;
    const step = (): number => {
      const last = state[i - 1] ?? 0;
      return last ^ (last >>> 30);
    };
    const advance = (): void => {
      i += 1;
      if (i < SIZE) return;
      state[0] = state[SIZE - 1] ?? 0;
      i = 1;
    };
    for (let k = 0; k < Math.max(SIZE, key.length); k++) {
      const j = k % key.length;
      state[i] = ((state[i] ?? 0) ^ Math.imul(step(), 1664525)) + (key[j] ?? 0) + j;
      advance();
    }
    for (let k = 0; k < SIZE - 1; k++) {
      state[i] = ((state[i] ?? 0) ^ Math.imul(step(), 1566083941)) - i;
      advance();
    }
    state[0] = 0x80000000;
  }

  #word(): number {
    if (this.#next === SIZE) this.#twist();
    let word = this.#state[this.#next++] ?? 0;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const word = ((state[i] ?? 0) & 0x80000000) | ((state[(i + 1) % SIZE] ?? 0) & 0x7fffffff);
      state[i] = (state[(i + MIDDLE) % SIZE] ?? 0) ^ (word >>> 1) ^ (word & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

/** A text's seed: its UTF-8 bytes and their SHA-512 as one big number, in words from the lowest. */
function wordsOf(text: string): number[] {
  const bytes = Buffer.from(text, 'utf8');
  const whole = Buffer.concat([bytes, createHash('sha512').update(bytes).digest()]);
  const padded = Buffer.concat([Buffer.alloc((4 - (whole.length % 4)) % 4), whole]);
  const words: number[] = [];
  for (let at = padded.length - 4; at >= 0; at -= 4) words.push(padded.readUInt32BE(at));
  // Leading zeros are no part of a number.
  while (words.length > 1 && words.at(-1) === 0) words.pop();
  return words;
}
