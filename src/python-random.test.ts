/** @file Values of CPython 3.11: `random.Random(seed)`. */
import { expect, it } from 'vitest';
import { PythonRandom } from './python-random.ts';

it('draws without putting back as random.sample does, from few by a pool and from many by a set', () => {
  const random = new PythonRandom(1234);
  expect(random.sample(200, 10)).toEqual([199, 112, 29, 1, 23, 149, 8, 171, 177, 21]);
  expect(random.sample(200, 10)).toEqual([25, 196, 90, 60, 4, 7, 88, 165, 159, 123]);
  random.sample(200, 10);
  expect(random.sample(12, 6)).toEqual([3, 1, 8, 7, 10, 4]);
  expect(new PythonRandom(1234).sample(39905, 4)).toEqual([28883, 7657, 490, 5940]);
});

it.each([
  ['x', 0.6307877176639078],
  ['xx', 0.5137135883838221],
  ['xxx', 0.5124552591716428],
  ['is_switched_outputsWhat are the names?0', 0.5817130752215722],
])('starts from the text %j as Python does', (seed, first) => {
  expect(new PythonRandom(seed).random()).toBe(first);
});

it('draws from a normal distribution, and one of many, as Python does', () => {
  const random = new PythonRandom(0);
  const normal = [random.gauss(), random.gauss(), random.gauss()];
  [0.9417154046806644, -1.3965781047011498, -0.6797144480784211].forEach((value, i) => {
    expect(normal[i]).toBeCloseTo(value, 14); // the engines' sine and logarithm differ in their last bit
  });
  expect(Array.from({ length: 8 }, () => random.choice([0, 1, 2, 3, 4, 5, 6]))).toEqual([4, 3, 3, 6, 6, 2, 3, 2]);
});

it('refuses to draw more than there are', () => {
  expect(() => new PythonRandom(1).sample(3, 4)).toThrow(RangeError);
});
