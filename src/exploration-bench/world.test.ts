import { describe, expect, it } from 'vitest';
import { pairObjective } from '../objective/objective.ts';
import { allLogProbs, baseParameters, descend } from './policy.ts';
import { compare, rank } from './ranker.ts';
import { bestReward, drawWorld, measurePolicy, normalise, optimalPolicy, type WorldSettings } from './world.ts';

const SETTINGS: WorldSettings = {
  prompts: 4,
  responses: 300,
  features: 8,
  baseSpread: 1,
  rareResponses: 3,
  rareShare: 0.01,
  rareReward: 4,
  labelScale: 1,
  policy: 'table',
};
const world = drawWorld(SETTINGS, 7);
/** Sums of 1,200 terms of size 1: rounding stays below 1e-12. */
const EXACT = 1e-11;

/** Some policy of the world: the base with other logits. */
function anyPolicy(seed: number): Float64Array {
  const parameters = baseParameters(world).map((_, at) => Math.sin((at + 1) * (seed + 0.5)));
  return allLogProbs(world, parameters);
}

describe('drawWorld()', () => {
  it('gives the rare responses the share that its dial says, and the same world for the same seed', () => {
    expect(measurePolicy(world, world.base).rareShare).toBeCloseTo(0.01, 12);
    expect(measurePolicy(world, world.base).klToBase).toBe(0);
    expect(drawWorld(SETTINGS, 7)).toEqual(world);
    expect(drawWorld(SETTINGS, 8).rewards).not.toEqual(world.rewards);
  });

  it('makes rare responses worth their reward more than common ones', () => {
    const of = (rare: number) => [...world.rewards].filter((_, at) => world.rare[at] === rare);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    // 12 rare and 1,188 common responses of unit variance: standard error 0.3.
    expect(Math.abs(mean(of(1)) - mean(of(0)) - 4)).toBeLessThan(1);
  });
});

describe('optimalPolicy()', () => {
  const beta = 0.7;
  const { logProbs: optimum, value } = optimalPolicy(world, beta);
  const regularised = (logProbs: Float64Array): number => {
    const { reward, klToBase } = measurePolicy(world, logProbs);
    return reward - beta * klToBase;
  };
  const divergence = (from: Float64Array, to: Float64Array): number =>
    from.reduce((sum, logProb, at) => sum + Math.exp(logProb) * (logProb - (to[at] ?? 0)), 0) / SETTINGS.prompts;

  it('has the value beta E[log Z], and every policy falls short of it by beta KL to it (appendix A.1)', () => {
    expect(Math.abs(regularised(optimum) - value)).toBeLessThan(EXACT);
    for (const policy of [world.base, anyPolicy(1), anyPolicy(2)]) {
      expect(Math.abs(value - regularised(policy) - beta * divergence(policy, optimum))).toBeLessThan(EXACT);
    }
  });

  it('comes up to the best response of every prompt as beta goes to 0', () => {
    expect(measurePolicy(world, optimalPolicy(world, 1e-3).logProbs).reward).toBeCloseTo(bestReward(world), 6);
  });

  it('Theorem 3.1: of all policies the reference has the least expected implicit reward under the data-free optimism term', () => {
    // E over y ~ pi_ref of log pi(y) - log pi_ref(y) is -KL(pi_ref || pi): 0 for the reference itself, below 0 for any other.
    const expected = (policy: Float64Array): number =>
      policy.reduce((sum, logProb, at) => {
        const [reference, y] = [world.base[at] ?? 0, { policy: logProb, reference: world.base[at] ?? 0 }];
        const sequence = (which: 'policy' | 'reference') => ({ chosen: -1, rejected: -1, response: y[which] });
        const { explorationLoss } = pairObjective(
          {
            policy: sequence('policy'),
            reference: sequence('reference'),
            lengths: { chosen: 1, rejected: 1, response: 1 },
          },
          { preference: { kind: 'dpo', beta, labelSmoothing: 0 }, exploration: { kind: 'selm', alpha: 0.3 } },
        );
        return sum + Math.exp(reference) * explorationLoss;
      }, 0) / SETTINGS.prompts;
    expect(expected(world.base)).toBe(0);
    for (const policy of [anyPolicy(3), optimum]) {
      expect(Math.abs(expected(policy) + 0.3 * beta * divergence(world.base, policy))).toBeLessThan(EXACT);
      expect(expected(policy)).toBeLessThan(0);
    }
  });
});

describe('descend()', () => {
  it.each(['table', 'features'] as const)('moves a %s policy along the gradient of a log-probability', (policy) => {
    const own = drawWorld({ ...SETTINGS, policy }, 7);
    const parameters = baseParameters(own).map((_, at) => 0.3 * Math.sin(at));
    const [response, learningRate] = [310, 1e-5];
    const before = allLogProbs(own, parameters);
    const after = parameters.slice();
    descend(own, after, { logProbs: before, derivatives: [{ response, value: -1 }], learningRate });
    const steps = after.map((value, at) => (value - (parameters[at] ?? 0)) / learningRate);
    // The step is the gradient: its square is the first-order change of log pi(response), and second order is 1e-5 of it.
    const change = ((allLogProbs(own, after)[response] ?? 0) - (before[response] ?? 0)) / learningRate;
    const squared = steps.reduce((sum, value) => sum + value * value, 0);
    expect(Math.abs(change - squared)).toBeLessThan(1e-3 * squared);
  });
});

describe('the ranker', () => {
  it('lets the better of two win as often as Bradley and Terry say, in comparisons and in rankings', () => {
    let state = 1;
    const draw = (): number => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const two = [20, 25] as const;
    const expected = 1 / (1 + Math.exp((world.rewards[25] ?? 0) - (world.rewards[20] ?? 0)));
    const share = (win: () => boolean): number => Array.from({ length: 4000 }, win).filter(Boolean).length / 4000;
    // Four standard errors of a share of 4,000.
    expect(Math.abs(share(() => compare(world, two, draw) === 20) - expected)).toBeLessThan(0.032);
    expect(Math.abs(share(() => rank(world, two, draw)[0] === 20) - expected)).toBeLessThan(0.032);
  });
});

it('normalise() returns log Z, also where logits are far below 0', () => {
  const logits = Float64Array.of(-1000, -1000 + Math.log(3));
  expect(normalise(logits)).toBeCloseTo(-1000 + Math.log(4), 10);
  expect([...logits].map(Math.exp)).toEqual([expect.closeTo(0.25, 12), expect.closeTo(0.75, 12)]);
});
