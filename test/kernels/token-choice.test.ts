/**
 * @file The choice of a token: exact shares under temperature, top-k and top-p, and the same choice for the same random numbers.
 */
import { describe, expect, it } from 'vitest';
import { normalAt, randomKey, uniformAt } from '../../src/random.ts';
import { repeat_interleave_self_int, sampleTokens, uniforms } from '../../src/torch/ops.ts';
import { int64, scope, type Tensor, tensorFrom, toFloat64Array, toIntegers } from '../../src/torch/tensor.ts';
import { isOnCpu, isPretended } from '../support/device.ts';

describe('the choice of a token', () => {
  // 3,000 tokens: more than a block of sums, and no whole number of vectors.
  const V = 3001;
  const DRAWS = 20_000;
  const logits = Float64Array.from({ length: V }, (_, i) => 3 * normalAt(randomKey(12), i));
  const doubles = (values: readonly number[]): Tensor =>
    tensorFrom(Float64Array.from(values), [values.length], 'float64');

  /** Exact probabilities: temperature, then top-k, then the nucleus of what is left. */
  function exact({
    temperature,
    topK,
    topP,
  }: {
    temperature: number;
    topK: number;
    topP: number;
  }): Map<number, number> {
    const top = Math.max(...logits);
    const weights = Array.from(logits, (logit, id) => ({
      id,
      weight: Math.exp((Math.fround(logit) - top) / temperature),
    }));
    weights.sort((a, b) => b.weight - a.weight);
    const left = topK > 0 ? weights.slice(0, topK) : weights;
    const mass = left.reduce((sum, each) => sum + each.weight, 0);
    let covered = 0;
    const kept = left.filter((each) => {
      const before = covered;
      covered += each.weight;
      return before === 0 || before < topP * mass;
    });
    const share = kept.reduce((sum, each) => sum + each.weight, 0);
    return new Map(kept.map(({ id, weight }) => [id, weight / share]));
  }

  // Uniform numbers on a grid: a token's share is its probability to within one draw at each end of its range, and a
  // token that a filter leaves out is never drawn. fp32 weights of 3,000 tokens add an error of 1e-6.
  it.each([
    { temperature: 1, topK: 0, topP: 1 },
    { temperature: 0.7, topK: 0, topP: 1 },
    { temperature: 1, topK: 40, topP: 1 },
    { temperature: 1, topK: 0, topP: 0.9 },
    { temperature: 1.3, topK: 100, topP: 0.8 },
    { temperature: 1, topK: 500, topP: 0.5 },
  ])('has the exact shares: temperature $temperature, topK $topK, topP $topP', (settings) => {
    const expected = exact(settings);
    const counts = new Map<number, number>();
    scope('draw', () => {
      const row = tensorFrom(Float32Array.from(logits), [1, V], 'float32');
      for (let begin = 0; begin < DRAWS; begin += 500) {
        scope('some', () => {
          const rows = repeat_interleave_self_int(row, 500, { dim: 0 });
          const uniforms = doubles(Array.from({ length: 500 }, (_, i) => (begin + i + 0.5) / DRAWS));
          const [ids] = sampleTokens(rows, settings.temperature, settings.topK, settings.topP, uniforms);
          for (const id of toIntegers(ids)) counts.set(id, (counts.get(id) ?? 0) + 1);
        });
      }
    });
    for (const [id, count] of counts) {
      expect(Math.abs(count - (expected.get(id) ?? Number.NaN) * DRAWS)).toBeLessThan(1 + 1e-6 * DRAWS + 1e-3);
    }
  });

  it('goes by the uniform numbers of src/random.ts, bit for bit', () => {
    const counters = [0, 1, 77, 2 ** 32 + 5, 2 ** 53 - 1];
    const keys = counters.map((counter) => randomKey(3, counter));
    scope('uniforms', () => {
      const words = keys.flatMap(({ key0, key1, stream0, stream1 }) => [key0, key1, stream0, stream1]);
      const found = uniforms(int64(words, { shape: [keys.length, 4] }), int64(counters));
      expect([...toFloat64Array(found)]).toEqual(keys.map((key, i) => uniformAt(key, counters[i] ?? Number.NaN)));
    });
  });

  it.each([
    [0, 0, 1],
    [1, 0, 1],
    [1, 3, 1],
    [1, 0, 0.5],
  ])(
    'of logits that are not finite is refused, or its log-probability is no number: %s, %s, %s',
    (temperature, topK, topP) => {
      scope('not finite', () => {
        const rows = Float32Array.from({ length: 80 }, (_, i) => (i === 7 ? Number.NaN : i === 50 ? Infinity : i % 5));
        const draw = (): [Tensor, Tensor] =>
          sampleTokens(tensorFrom(rows, [2, 40], 'float32'), temperature, topK, topP, doubles([0.2, 0.9]));
        if (process.env.SELM_KERNELS !== 'composed' && (isOnCpu || isPretended)) {
          expect(draw).toThrow('the logits of a row are not finite');
          return;
        }
        const [ids, logProbs] = draw();
        expect([...toFloat64Array(logProbs)]).toEqual([Number.NaN, Number.NaN]);
        // A row of the embedding that exists: the next pass may have begun with it.
        for (const id of toIntegers(ids)) expect(id).toBeLessThan(40);
      });
    },
  );

  it('takes the first of equal logits when greedy, and gives its log-probability', () => {
    scope('greedy', () => {
      const row = Float32Array.from({ length: 40 }, (_, i) => (i === 7 || i === 23 ? 2 : 0));
      const [ids, logProbs] = sampleTokens(tensorFrom(row, [1, 40], 'float32'), 0, 0, 1, doubles([0.9]));
      expect([...toIntegers(ids)]).toEqual([7]);
      // fp32 exponentials.
      expect(toFloat64Array(logProbs)[0]).toBeCloseTo(2 - Math.log(38 + 2 * Math.exp(2)), 6);
    });
  });
});
