/**
 * @file What comparisons tell about a reward that is linear in numbers which describe an answer: the information matrix, and the
 * questions that add most to it, whatever the answers are believed to be worth (D-optimal design). ADPO (Kveton et al. 2025,
 * arXiv 2503.01076, read in its abstract) does so with a language model's last hidden states; the greedy choice and its update
 * are as in BootsofLagrangian/random-vs-apl at 3c8e117, active_learning/query_strategy/adpo.py. "Which Pairs to Compare"
 * (arXiv 2606.19607, abstract only) bounds DPO's loss by the same matrix. Pure.
 */
import type { Described } from './ensemble.ts';

/** A comparison of two answers, by their places among those that are described. */
export type ComparedPair = readonly [first: number, second: number];

/**
 * H = I + 1/4 sum of (x - x')(x - x')' over comparisons, kept as its inverse, width x width. The reward's weights are normal with
 * variance 1 before any label, and a label at even odds has the information 1/4.
 */
export interface Information {
  readonly width: number;
  readonly inverse: Float64Array;
}

const OF_EVEN_ODDS = 0.25;

/** Nothing is compared yet: H = I. */
export function noInformation({ width }: Pick<Described, 'width'>): Information {
  const inverse = new Float64Array(width * width);
  for (let f = 0; f < width; f++) inverse[f * width + f] = 1;
  return { width, inverse };
}

/** What a comparison would tell: log det H after it minus before it, in nats. */
export function informationOf(information: Information, described: Described, pair: ComparedPair): number {
  const difference = differenceOf(described, pair);
  const reached = timesInverse(information, difference);
  return Math.log1p(OF_EVEN_ODDS * dot(difference, reached));
}

/** Adds a comparison, whoever won it (Sherman and Morrison's update). Changes the matrix. */
export function addComparison(information: Information, described: Described, pair: ComparedPair): void {
  const { width, inverse } = information;
  const difference = differenceOf(described, pair);
  const reached = timesInverse(information, difference);
  const scale = OF_EVEN_ODDS / (1 + OF_EVEN_ODDS * dot(difference, reached));
  for (let row = 0; row < width; row++) {
    const factor = scale * (reached[row] as number);
    for (let column = 0; column < width; column++) {
      inverse[row * width + column] = (inverse[row * width + column] as number) - factor * (reached[column] as number);
    }
  }
}

/** The two of some answers whose comparison tells most; the first such pair. Two answers or more. */
export function mostInformative(
  information: Information,
  described: Described,
  answers: readonly number[],
): { pair: ComparedPair; nats: number } {
  const pairs = answers.flatMap((first, at) => answers.slice(at + 1).map((second): ComparedPair => [first, second]));
  return bestOf(information, described, pairs);
}

/** A question that was picked: which of the given ones, and what it tells beside those that were picked before it. */
export interface PickedQuestion {
  readonly question: number;
  readonly pair: ComparedPair;
  readonly nats: number;
}

/**
 * All questions, the most informative first, each with its most informative pair given those before it. What a question tells only
 * shrinks as others are picked, so that one that still leads once it is looked at again is picked without looking at the rest.
 * Changes the matrix.
 *
 * @param questions the pairs of each that may be asked about, one at least
 */
export function byInformation(
  information: Information,
  described: Described,
  questions: readonly (readonly ComparedPair[])[],
): PickedQuestion[] {
  const best = (question: number) => ({ question, ...bestOf(information, described, questions[question] ?? []) });
  const open = questions.map((_, question) => ({ ...best(question), lookedAt: 0 }));
  const picked: PickedQuestion[] = [];
  while (open.length > 0) {
    const leader = open.reduce((first, each, at) => (each.nats > (open[first]?.nats ?? 0) ? at : first), 0);
    const found = open[leader];
    if (found === undefined) break;
    if (found.lookedAt < picked.length) {
      open[leader] = { ...best(found.question), lookedAt: picked.length };
      continue;
    }
    const { question, pair, nats } = found;
    picked.push({ question, pair, nats });
    addComparison(information, described, pair);
    open.splice(leader, 1);
  }
  return picked;
}

function bestOf(
  information: Information,
  described: Described,
  pairs: readonly ComparedPair[],
): { pair: ComparedPair; nats: number } {
  let best: { pair: ComparedPair; nats: number } = { pair: [0, 1], nats: Number.NEGATIVE_INFINITY };
  for (const pair of pairs) {
    const nats = informationOf(information, described, pair);
    if (nats > best.nats) best = { pair, nats };
  }
  return best;
}

/** x - x' of two answers. */
function differenceOf({ width, features }: Described, [first, second]: ComparedPair): Float64Array {
  return Float64Array.from(
    { length: width },
    (_, f) => (features[first * width + f] as number) - (features[second * width + f] as number),
  );
}

/** H^-1 v. */
function timesInverse({ width, inverse }: Information, vector: Float64Array): Float64Array {
  return Float64Array.from({ length: width }, (_, row) =>
    dot(inverse.subarray(row * width, (row + 1) * width), vector),
  );
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += (a[index] as number) * (b[index] as number);
  return sum;
}
