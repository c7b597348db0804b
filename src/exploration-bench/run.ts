/**
 * @file One run of a method in a world: sample, ask, pair, train, repeat, until the labels are spent. The loss is selm's own
 * (src/objective). After every iteration the policy is measured, exactly.
 */
import { countTerm } from '../objective/count-bonus.ts';
import { bonusTerm } from '../objective/exploratory-bonus.ts';
import { type PairInput, pairObjective } from '../objective/objective.ts';
import { type RandomKey, randomKey, uniformAt } from '../random.ts';
import { diversePair } from '../rank/diverse.ts';
import { believe, type Ensemble, type Label, learnLabels, newEnsemble } from '../select/ensemble.ts';
import { addComparison, type Information, mostInformative, noInformation } from '../select/information.ts';
import { RULES } from '../select/rules.ts';
import type { Budget, Method } from './method.ts';
import {
  allLogProbs,
  baseParameters,
  descend,
  fillLogProbs,
  type LogProbDerivative,
  type Parameters,
} from './policy.ts';
import { compare, rank } from './ranker.ts';
import { bestReward, measurePolicy, type PolicyMeasure, type World } from './world.ts';

/** The policy after some labels. */
export interface Point extends Omit<PolicyMeasure, 'entropy'> {
  /** In nats; null where it is not known. */
  readonly entropy: number | null;
  readonly labels: number;
  /** Answers sampled so far. */
  readonly sampled: number;
  /** What only policies that write texts have. */
  readonly text?: TextMeasure;
}

/** A policy's texts. */
export interface TextMeasure {
  /** Tokens sampled so far for labels. */
  readonly tokens: number;
  /** Share of different pairs of words in all held-out answers. */
  readonly distinct2: number;
  /** Soundness of the texts from 0 to 1; null where nothing says it. */
  readonly soundness: number | null;
  /** What the policy scored on benchmarks, by their names, where they were asked. */
  readonly benchmarks?: Readonly<Record<string, number>>;
}

/** Where the rare answers went, counted over a run: sampled, in a pair, and there chosen. */
export interface RareFate {
  readonly sampled: number;
  readonly paired: number;
  readonly chosen: number;
}

/** What a run found. The first point is the base policy. */
export interface RunResult {
  readonly points: readonly Point[];
  readonly rare: RareFate;
  /** The largest reward that any policy has. */
  readonly best: number;
  /** Sum over labels of what the policy that was asked about falls short of the best, in reward. */
  readonly regret: number;
}

interface Pair {
  readonly chosen: number;
  readonly rejected: number;
  /** The first answer sampled, which exploration terms take; of the base policy where the term is xpo's. */
  readonly response: number;
}

/** Runs a method until its labels are spent, or its policy gives one answer only. The same arguments give the same result. */
export function runMethod(
  world: World,
  { method, budget, seed }: { method: Method; budget: Budget; seed: number },
): RunResult {
  const parameters = baseParameters(world);
  const ensemble = newEnsemble(world, seed);
  const information = noInformation(world);
  const labels: Label[] = [];
  const visits = new Map<number, number>();
  const rare = { sampled: 0, paired: 0, chosen: 0 };
  const best = bestReward(world);
  const points: Point[] = [{ ...measurePolicy(world, world.base), labels: 0, sampled: 0 }];
  let [asked, sampled, regret] = [0, 0, 0];
  let all: Pair[] = [];

  for (let iteration = 1; asked < budget.labels; iteration++) {
    const policy = allLogProbs(world, parameters);
    const before = points.at(-1)?.reward ?? Number.NaN;
    const collected = collect(world, policy, { method, budget, seed, iteration, ensemble, information, visits });
    if (collected.asked === 0) break; // a policy that gives one answer only leaves nothing to compare
    asked += collected.asked;
    sampled += collected.sampled;
    regret += collected.asked * (best - before);
    rare.sampled += collected.rareSampled;
    for (const { chosen, rejected } of collected.pairs) {
      rare.paired += (world.rare[chosen] ?? 0) || (world.rare[rejected] ?? 0);
      rare.chosen += world.rare[chosen] ?? 0;
    }
    labels.push(...collected.pairs.map(({ chosen, rejected }) => ({ winner: chosen, loser: rejected })));
    if (method.pairing.kind === 'ask' && method.pairing.beliefs === 'learned') learnLabels(world, ensemble, labels);
    all = method.accumulate ? [...all, ...collected.pairs] : collected.pairs;
    const reference = method.reference === 'initial' ? world.base : policy;
    train(world, parameters, {
      pairs: all,
      reference,
      method,
      budget,
      visits,
      key: randomKey(seed, 'train', iteration),
    });
    points.push({ ...measurePolicy(world, allLogProbs(world, parameters)), labels: asked, sampled });
  }
  return { points, rare, best, regret };
}

interface Collected {
  pairs: Pair[];
  asked: number;
  sampled: number;
  rareSampled: number;
}

/** Samples answers and asks about them until the iteration's labels are spent. Visits prompts in turn. */
function collect(
  world: World,
  policy: Float64Array,
  context: {
    method: Method;
    budget: Budget;
    seed: number;
    iteration: number;
    ensemble: Ensemble;
    information: Information;
    visits: Map<number, number>;
  },
): Collected {
  const { method, budget, seed, iteration, visits } = context;
  const { prompts } = world.settings;
  const explored = method.objective.exploration.kind === 'xpo' ? cumulative(world, world.base, 1) : null;
  const sampler = cumulative(world, policy, method.temperature);
  const { partnerTemperature } = method;
  const partners = partnerTemperature === undefined ? sampler : cumulative(world, policy, partnerTemperature);
  const collected: Collected = { pairs: [], asked: 0, sampled: 0, rareSampled: 0 };
  const key = randomKey(seed, 'visits', iteration);
  const mostVisits = 8 * budget.labelsAnIteration;
  for (let visit = 0; visit < mostVisits && collected.asked < budget.labelsAnIteration; visit++) {
    const draw = drawsOf(key, visit);
    const candidates = method.prompts === 'entropy' ? 4 : 1;
    let answers: number[] = [];
    let leastSure = Number.POSITIVE_INFINITY;
    for (let candidate = 0; candidate < candidates; candidate++) {
      const prompt = (visit * candidates + candidate) % prompts;
      const sample = Array.from({ length: method.samples }, (_, index) =>
        drawFrom(index === 0 ? sampler : partners, world, prompt, draw),
      );
      collected.sampled += sample.length;
      collected.rareSampled += sample.reduce((sum, response) => sum + (world.rare[response] ?? 0), 0);
      for (const response of sample) visits.set(response, (visits.get(response) ?? 0) + 1);
      const sureness = sample.reduce((sum, response) => sum + (policy[response] ?? 0), 0);
      if (sureness < leastSure) [leastSure, answers] = [sureness, sample];
    }
    const [first = 0] = answers;
    const response =
      explored === null ? first : drawFrom(explored, world, Math.floor(first / world.settings.responses), draw);
    const different = [...new Set(answers)];
    if (different.length < 2) continue;
    const { pairs, labels } = pairsOf(world, different, { ...context, policy, draw });
    collected.asked += labels;
    collected.pairs.push(...pairs.map((pair) => ({ ...pair, response })));
  }
  return collected;
}

/** The pairs of a prompt's different answers, and the labels that they took. */
function pairsOf(
  world: World,
  answers: readonly number[],
  context: {
    method: Method;
    policy: Float64Array;
    ensemble: Ensemble;
    information: Information;
    draw: () => number;
  },
): { pairs: { chosen: number; rejected: number }[]; labels: number } {
  const { method, policy, ensemble, information, draw } = context;
  const { pairing, objective } = method;
  switch (pairing.kind) {
    case 'rank': {
      const order = rank(world, answers, draw);
      const labels = answers.length - 1;
      if (pairing.rule === 'best-and-worst') {
        return { pairs: [{ chosen: order[0] ?? 0, rejected: order.at(-1) ?? 0 }], labels };
      }
      if (pairing.rule === 'all-pairs') {
        const pairs = order.flatMap((chosen, place) =>
          order.slice(place + 1).map((rejected) => ({ chosen, rejected })),
        );
        return { pairs, labels };
      }
      const logProbs = order.map((response) => policy[response] ?? 0);
      const [chosen, rejected] = diversePair([...order.keys()], logProbs);
      return { pairs: [{ chosen: order[chosen] ?? 0, rejected: order[rejected] ?? 0 }], labels };
    }
    case 'ask': {
      const { beta } = objective.preference;
      const beliefs =
        pairing.beliefs === 'learned'
          ? believe(world, ensemble, answers)
          : answers.map((response) => {
              const reward = beta * ((policy[response] ?? 0) - (world.base[response] ?? 0));
              return { mean: reward, lower: reward, upper: reward };
            });
      const [first, second] = RULES[pairing.rule](beliefs, draw);
      return comparisonOf(world, [answers[first] ?? 0, answers[second] ?? 0], draw);
    }
    case 'inform': {
      const { pair } = mostInformative(information, world, answers);
      addComparison(information, world, pair);
      return comparisonOf(world, pair, draw);
    }
  }
}

/** The pair of two answers that are compared: one label. */
function comparisonOf(
  world: World,
  two: readonly [number, number],
  draw: () => number,
): { pairs: { chosen: number; rejected: number }[]; labels: number } {
  const chosen = compare(world, two, draw);
  return { pairs: [{ chosen, rejected: chosen === two[0] ? two[1] : two[0] }], labels: 1 };
}

/** Plain gradient descent on the mean loss of shuffled batches. Changes the parameters. */
function train(
  world: World,
  parameters: Parameters,
  {
    pairs,
    reference,
    method,
    budget,
    visits,
    key,
  }: {
    pairs: readonly Pair[];
    reference: Float64Array;
    method: Method;
    budget: Budget;
    visits: ReadonlyMap<number, number>;
    key: RandomKey;
  },
): void {
  const logProbs = new Float64Array(reference.length);
  const { responses } = world.settings;
  const passes = method.passes ?? budget.epochs;
  for (let epoch = 0; epoch < passes; epoch++) {
    const order = pairs
      .map((pair, index) => ({ pair, at: uniformAt(key, epoch * pairs.length + index) }))
      .sort((a, b) => a.at - b.at);
    for (let start = 0; start < order.length; start += budget.batchSize) {
      const batch = order.slice(start, start + budget.batchSize).map(({ pair }) => pair);
      for (const prompt of new Set(batch.map(({ chosen }) => Math.floor(chosen / responses)))) {
        fillLogProbs(world, parameters, prompt, logProbs);
      }
      const derivatives = batch.flatMap((pair) => derivativesOf(pair, { logProbs, reference, method, visits }));
      descend(world, parameters, { logProbs, derivatives, learningRate: budget.learningRate / batch.length });
    }
  }
}

/** The derivatives of one pair's loss by the log-probabilities of its responses. */
function derivativesOf(
  { chosen, rejected, response }: Pair,
  {
    logProbs,
    reference,
    method,
    visits,
  }: { logProbs: Float64Array; reference: Float64Array; method: Method; visits: ReadonlyMap<number, number> },
): LogProbDerivative[] {
  const of = (from: Float64Array) => ({
    chosen: from[chosen] ?? Number.NaN,
    rejected: from[rejected] ?? Number.NaN,
    response: from[response] ?? Number.NaN,
  });
  // A response of this world is one token.
  const input: PairInput = {
    policy: of(logProbs),
    reference: of(reference),
    lengths: { chosen: 1, rejected: 1, response: 1 },
  };
  const { gradient } = pairObjective(input, method.objective);
  const count = countTerm(
    {
      policy: logProbs[response] ?? 0,
      reference: reference[response] ?? 0,
      visits: visits.get(response) ?? 1,
    },
    method.countBonus,
  );
  const bonus =
    method.exploratoryBonus === undefined ? null : bonusTerm(input.policy.rejected, method.exploratoryBonus);
  return [
    { response: chosen, value: gradient.chosen },
    { response: rejected, value: gradient.rejected + (bonus?.gradient ?? 0) },
    { response, value: gradient.response + count.gradient },
  ];
}

/** Cumulative probabilities of each prompt's responses, at a temperature. */
function cumulative({ settings }: World, logProbs: Float64Array, temperature: number): Float64Array {
  const sums = new Float64Array(logProbs.length);
  for (let start = 0; start < logProbs.length; start += settings.responses) {
    let total = 0;
    for (let at = start; at < start + settings.responses; at++) {
      total += Math.exp((logProbs[at] ?? 0) / temperature);
      sums[at] = total;
    }
  }
  return sums;
}

/** One response to a prompt, by bisection of its cumulative probabilities. */
function drawFrom(sums: Float64Array, { settings }: World, prompt: number, draw: () => number): number {
  let low = prompt * settings.responses;
  let high = low + settings.responses - 1;
  const target = draw() * (sums[high] ?? 0);
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] ?? 0) > target) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Most uniform numbers that one visit takes. */
const DRAWS_OF_A_VISIT = 2 ** 20;

/** Uniform numbers of one visit, a new one each call: methods of one seed share their first answers. */
function drawsOf(key: RandomKey, visit: number): () => number {
  let next = visit * DRAWS_OF_A_VISIT;
  return () => uniformAt(key, next++);
}
