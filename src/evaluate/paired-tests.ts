/**
 * @file Tests of paired differences: is their mean 0? By flipping signs, which assumes only that without an effect a difference
 * is as likely as its opposite; by Student's t where there are too few of them to flip; and Holm's correction for
 * several tests. Pure.
 */
import { randomKey, uniformAt } from '../random.ts';
import { mean, sampleDeviation } from './statistics.ts';

/** Up to so many differences all sign patterns are counted; of more, DRAWS random ones. */
const MOST_EXACT = 14;
const DRAWS = 9999;

/**
 * Two-sided p-value of the sign-flip (permutation) test of the mean: the share of sign patterns whose mean is at least as
 * far from 0. Exact up to 14 differences; otherwise of 9,999 random patterns and the observed one, which keeps the test valid
 * (Phipson and Smyth 2010, https://doi.org/10.2202/1544-6115.1585). Exact for any number where all that are not 0 have one size, as
 * those of right and wrong answers have. 1 of no differences.
 *
 * @param seed of the random patterns
 */
export function signFlipTest(differences: readonly number[], seed: number): number {
  const count = differences.length;
  const observed = Math.abs(mean(differences));
  // Sums in another order may differ in their last bits.
  const limit = observed * (1 - 1e-12) - 1e-300;
  if (count === 0) return 1;
  const alike = mcnemarTest(differences);
  if (alike !== null) return alike;
  if (count <= MOST_EXACT) {
    let extreme = 0;
    for (let pattern = 0; pattern < 2 ** count; pattern++) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += (pattern >> i) & 1 ? (differences[i] ?? 0) : -(differences[i] ?? 0);
      if (Math.abs(sum / count) >= limit) extreme++;
    }
    return extreme / 2 ** count;
  }
  const key = randomKey(seed, 'sign-flip');
  let extreme = 1;
  let place = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < count; i++) {
      if (i % 30 === 0) bits = Math.floor(uniformAt(key, place++) * 2 ** 30);
      const difference = differences[i] ?? 0;
      sum += (bits >> (i % 30)) & 1 ? difference : -difference;
    }
    if (Math.abs(sum / count) >= limit) extreme++;
  }
  return extreme / (DRAWS + 1);
}

/**
 * Two-sided p-value of McNemar's exact test (McNemar 1947): of the items on which two models differ, all by as much, as many favour either.
 * It is the sign-flip test of such differences, since a sum of signs counts the plus signs. Null where sizes differ.
 */
export function mcnemarTest(differences: readonly number[]): number | null {
  const apart = differences.filter((difference) => difference !== 0);
  const [first = 0] = apart;
  if (apart.some((difference) => Math.abs(difference) !== Math.abs(first))) return null;
  const fewer = Math.min(
    apart.filter((difference) => difference > 0).length,
    apart.filter((difference) => difference < 0).length,
  );
  // P(X <= fewer) of a fair coin, from the logarithms of the binomial coefficients.
  let tail = 0;
  for (let plus = 0; plus <= fewer; plus++) {
    const choices = logGamma(apart.length + 1) - logGamma(plus + 1) - logGamma(apart.length - plus + 1);
    tail += Math.exp(choices - apart.length * Math.LN2);
  }
  return Math.min(1, 2 * tail);
}

/** A mean with Student's interval and the two-sided p-value that it is 0. */
export interface StudentTest {
  value: number;
  low: number;
  high: number;
  count: number;
  p: number;
}

/**
 * One-sample t-test of differences, taken as normal: what is left to do with three or five seeds. Null of less than two.
 *
 * @param level probability that the interval is meant to cover
 */
export function studentTest(differences: readonly number[], level = 0.95): StudentTest | null {
  const count = differences.length;
  if (count < 2) return null;
  const value = mean(differences);
  const error = sampleDeviation(differences) / Math.sqrt(count);
  const half = studentQuantile((1 + level) / 2, count - 1) * error;
  const p = error === 0 ? (value === 0 ? 1 : 0) : studentTail(Math.abs(value / error), count - 1);
  return { value, low: value - half, high: value + half, count, p };
}

/** Two-sided tail P(|T| > t) of Student's t with `freedom` degrees of freedom. */
export function studentTail(t: number, freedom: number): number {
  return incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** Quantile of Student's t for probabilities above one half, by bisection. */
export function studentQuantile(probability: number, freedom: number): number {
  const tail = 2 * (1 - probability);
  let [low, high] = [0, 1];
  while (studentTail(high, freedom) > tail) high *= 2;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (studentTail(middle, freedom) > tail) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * p-values corrected for their number by Holm's step-down (Holm 1979): with a limit of 0.05 on these, the chance of any
 * false finding among all is at most 0.05.
 */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).sort((a, b) => (values[a] ?? 1) - (values[b] ?? 1));
  const corrected = new Array<number>(values.length).fill(1);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (values.length - rank) * (values[index] ?? 1)));
    corrected[index] = largest;
  });
  return corrected;
}

/** Regularised incomplete beta function I_x(a, b), by its continued fraction (Numerical Recipes 6.4, Lentz's method). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x));
  return x < (a + 1) / (a + b + 2) ? (front * fraction(x, a, b)) / a : 1 - (front * fraction(1 - x, b, a)) / b;
}

function fraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const away = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    const step = d * c;
    result *= step;
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return result;
}

/** ln Gamma(x) for x > 0 (Lanczos with g = 7, nine terms: relative error about 1e-15). */
function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const z = x - 1;
  const sum = terms.reduce((total, term, index) => total + term / (z + index + 1), 0.9999999999998099);
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(z + 7.5) - (z + 7.5) + Math.log(sum);
}
