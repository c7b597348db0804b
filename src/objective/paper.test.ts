/**
 * @file The claims of the SELM paper (arXiv 2405.19332, sections 3.1, 3.3, appendices A and B), checked on policies
 * small enough to enumerate: one prompt, K responses, pi_theta = softmax(theta), expectations as sums over all
 * responses. The population objective is built from `pairObjective` itself, so the code and not only the algebra is
 * tested. What each test restates is written above it.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ObjectiveOptions, type PairObjective, pairObjective } from './objective.ts';

/** Probability of a (chosen, rejected) pair of responses in the data D. */
interface WeightedPair {
  chosen: number;
  rejected: number;
  weight: number;
}

interface Problem {
  theta: number[];
  reference: number[]; // log pi_ref
  pairs: WeightedPair[];
  beta: number;
  alpha: number;
}

// Sums of at most 6 responses with log-ratios up to about 10, divided by beta >= 0.05: rounding stays below 1e-12.
const EXACT = 1e-11;

describe('Appendix A.1: the inner maximum, and the reward as a policy', () => {
  // F(pi; r) = E_pi[r] - E_ref[r] - beta KL(pi || pi_ref). For any reward r and any pi:
  //   F(pi_r; r) - F(pi; r) = beta KL(pi || pi_r) >= 0, with pi_r = pi_ref exp(r / beta) / Z,
  // so pi_r is the maximiser, and F(pi_r; r) = beta log Z - E_ref[r].
  it('pi_r = pi_ref exp(r / beta) / Z maximises F, by a gap of beta KL(pi || pi_r)', () => {
    fc.assert(
      fc.property(anyProblem(), fc.array(real(3), { minLength: 6, maxLength: 6 }), ({ theta, reference, beta }, r) => {
        const rewards = r.slice(0, theta.length);
        const logZ = logSumExp(reference.map((value, y) => value + at(rewards, y) / beta));
        const best = reference.map((value, y) => value + at(rewards, y) / beta - logZ);
        const policy = logSoftmax(theta);
        const objective = (logProbs: number[]): number =>
          mean(logProbs, rewards) - mean(reference, rewards) - beta * divergence(logProbs, reference);
        expectNear(objective(best), beta * logZ - mean(reference, rewards), EXACT);
        expectNear(objective(best) - objective(policy), beta * divergence(policy, best), EXACT);
      }),
    );
  });

  // With r = rhat_theta = beta (log pi_theta - log pi_ref): Z = 1, the maximiser is pi_theta itself, and
  //   -alpha max_pi F(pi; rhat_theta) = alpha beta E_ref[log pi_theta - log pi_ref]:
  // the bilevel objective's optimism term (Eq. 3.1) is the expectation of what `pairObjective` adds to the loss.
  it('the reparameterised reward makes the optimism of Eq. 3.1 the expected exploration loss of Eq. 3.2', () => {
    fc.assert(
      fc.property(anyProblem(), (problem) => {
        const { theta, reference, beta, alpha } = problem;
        const policy = logSoftmax(theta);
        const rewards = policy.map((value, y) => implicitReward(problem, policy, y, value));
        expectNear(logSumExp(reference.map((value, y) => value + at(rewards, y) / beta)), 0, EXACT);
        const maximum = mean(policy, rewards) - mean(reference, rewards) - beta * divergence(policy, reference);
        const explorationLoss = expectedTerm(problem, policy, reference, (result) => result.explorationLoss);
        expectNear(explorationLoss, -alpha * maximum, EXACT);
      }),
    );
  });
});

describe('Eq. 3.3: the gradient of the objective', () => {
  // With L = E_{(y_w,y_l)~D, y~pi_ref}[pairObjective.loss] to be minimised (the paper prints ascent for one term and
  // descent for the other; here both descend):
  //   grad L = - beta E_D[ sigma(rhat(y_l) - rhat(y_w)) (grad log pi(y_w) - grad log pi(y_l)) ]
  //            + alpha beta E_{y~pi_theta}[ exp(-rhat(y) / beta) grad log pi(y) ]
  // The right side samples from pi_theta; the code samples from pi_ref and has no weight exp(-rhat / beta).
  it('equals the population gradient of the code, and its finite differences', () => {
    fc.assert(
      fc.property(anyProblem(), (problem) => {
        const { theta, reference, pairs, beta, alpha } = problem;
        const policy = logSoftmax(theta);
        const reward = (y: number): number => beta * (at(policy, y) - at(reference, y));
        const right = theta.map(() => 0);
        for (const { chosen, rejected, weight } of pairs) {
          const sigma = 1 / (1 + Math.exp(reward(chosen) - reward(rejected)));
          addScaled(right, scoreVector(policy, chosen), -beta * weight * sigma);
          addScaled(right, scoreVector(policy, rejected), beta * weight * sigma);
        }
        for (const [y, logProb] of policy.entries()) {
          const weight = Math.exp(logProb) * Math.exp(-reward(y) / beta);
          addScaled(right, scoreVector(policy, y), alpha * beta * weight);
        }
        const left = populationGradient(problem);
        for (const [index, slope] of left.entries()) {
          expectNear(slope, at(right, index), EXACT);
          // Step 1e-4: truncation 1e-8 times a third derivative of at most about 1, rounding 1e-15 / 1e-4.
          expectNear(slope, finiteDifference(problem, index), 1e-7);
        }
      }),
    );
  });
});

describe('Theorem 3.1: what minimising E_ref[log pi_theta] does', () => {
  // Eq. 3.4: pi_rho^min = argmin_pi G_rho(pi), G_rho(pi) = E_pi[rhat_rho] + beta KL(pi || pi_rho). Claim: for every rho
  // it is pi_ref. Found here without the closed form, by mirror descent on the simplex from the uniform policy; and
  // checked to be the minimum, since G_rho(pi) = beta KL(pi || pi_ref) for every pi.
  it('the policy of least implicit reward (Eq. 3.4) is the reference, for every rho', () => {
    fc.assert(
      fc.property(anyProblem(), ({ theta: rho, reference, beta }) => {
        const logRho = logSoftmax(rho);
        const rewards = logRho.map((value, y) => beta * (value - at(reference, y)));
        const objective = (logProbs: number[]): number => mean(logProbs, rewards) + beta * divergence(logProbs, logRho);
        let found: number[] = rho.map(() => -Math.log(rho.length));
        expectNear(objective(found), beta * divergence(found, reference), EXACT);
        for (let step = 0; step < 60; step++) {
          // d G / d pi(y), up to a constant; mirror descent with step 1 / (2 beta) halves the distance each time.
          const slope = found.map((value, y) => at(rewards, y) + beta * (value - at(logRho, y)));
          found = logSoftmax(found.map((value, y) => value - at(slope, y) / (2 * beta)));
        }
        for (const [y, logProb] of found.entries()) expectNear(Math.exp(logProb), Math.exp(at(reference, y)), 1e-12);
        expectNear(objective(found), 0, EXACT);
      }),
    );
  });

  // Hence the exploration loss has the same expectation, and the same gradient, under y ~ pi_ref and y ~ pi_rho^min,
  // where pi_rho^min = pi_rho exp(-rhat_rho / beta) / Z from any rho: it lowers what rho values least.
  it('lowering the likelihood of reference samples lowers that of the least rewarded ones, equally', () => {
    fc.assert(
      fc.property(anyProblem(), fc.array(real(2), { minLength: 6, maxLength: 6 }), (problem, otherParameters) => {
        const { theta, reference, beta } = problem;
        const policy = logSoftmax(theta);
        const logRho = logSoftmax(otherParameters.slice(0, theta.length));
        const least = logSoftmax(logRho.map((value, y) => value - (beta * (at(logRho, y) - at(reference, y))) / beta));
        for (const pick of [
          (result: PairObjective): number => result.explorationLoss,
          (result: PairObjective): number => result.gradient.response,
        ]) {
          expectNear(expectedTerm(problem, policy, reference, pick), expectedTerm(problem, policy, least, pick), EXACT);
        }
      }),
    );
  });

  // Section 3.3: E_ref[rhat_theta / beta] = -KL(pi_ref || pi_theta) <= 0, and 0 where pi_theta = pi_ref: every
  // method starts at 0 and can only lower the likelihood of the reference's responses on average.
  it('the expected implicit reward of reference samples is -beta KL(pi_ref || pi_theta)', () => {
    fc.assert(
      fc.property(anyProblem(), (problem) => {
        const policy = logSoftmax(problem.theta);
        const { reference, beta } = problem;
        const rewards = policy.map((value, y) => implicitReward(problem, policy, y, value));
        expectNear(mean(reference, rewards), -beta * divergence(reference, policy), EXACT);
        expect(mean(reference, rewards)).toBeLessThanOrEqual(EXACT);
      }),
    );
  });
});

describe('training on the objective', () => {
  // Bradley-Terry preferences over 5 responses of which only 4 were compared: the fifth is the unknown one. The
  // reference favours the known. Descend on the population objective from the reference, with and without alpha.
  const reference = logSoftmax([2, 1.5, 1, 0.5, -1]);
  const trueRewards = [0, 0.2, 0.4, 0.6];
  const pairs = trueRewards.flatMap((first, chosen) =>
    trueRewards.flatMap((second, rejected) =>
      chosen === rejected ? [] : [{ chosen, rejected, weight: 1 / (1 + Math.exp(second - first)) / 6 }],
    ),
  );
  const train = (alpha: number): Problem => {
    const problem: Problem = { theta: [...reference], reference, pairs, beta: 0.5, alpha };
    for (let step = 0; step < 3000; step++) addScaled(problem.theta, populationGradient(problem), -0.5);
    return problem;
  };

  it('with alpha above 0 moves away from the reference, and gives the response that no pair mentions a larger share', () => {
    const [plain, small, large] = [train(0), train(0.01), train(0.05)].map(({ theta }) => logSoftmax(theta));
    if (!plain || !small || !large) throw new Error('Training returned nothing');
    const distances = [plain, small, large].map((policy) => divergence(reference, policy));
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
    expect(new Set(distances).size).toBe(3);
    const shares = [plain, small, large].map((policy) => Math.exp(at(policy, 4)));
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(new Set(shares).size).toBe(3);
  });

  it('with alpha 0 recovers the rewards of the compared responses up to a constant (DPO is the RLHF optimum)', () => {
    const problem = train(0);
    const policy = logSoftmax(problem.theta);
    const rewards = trueRewards.map((_, y) => implicitReward(problem, policy, y, at(policy, y)));
    for (const [y, reward] of rewards.entries()) {
      // 3,000 steps: gradient descent has come to within 1e-6 of the optimum.
      expectNear(reward - at(rewards, 0), at(trueRewards, y), 1e-6);
    }
  });
});

function optionsOf({ beta, alpha }: Problem): ObjectiveOptions {
  return { preference: { kind: 'dpo', beta, labelSmoothing: 0 }, exploration: { kind: 'selm', alpha } };
}

/** The objective of one pair and one sampled response, by the code under test. */
function evaluate(problem: Problem, policy: number[], pair: WeightedPair, response: number): PairObjective {
  const logProbs = (model: number[]) => ({
    chosen: at(model, pair.chosen),
    rejected: at(model, pair.rejected),
    response: at(model, response),
  });
  const lengths = { chosen: 1, rejected: 1, response: 1 };
  return pairObjective(
    { policy: logProbs(policy), reference: logProbs(problem.reference), lengths },
    optionsOf(problem),
  );
}

/** E over pairs ~ D and y ~ pi_ref of the loss. */
function populationLoss(problem: Problem): number {
  const policy = logSoftmax(problem.theta);
  let loss = 0;
  for (const pair of problem.pairs) {
    for (const [y, logProb] of problem.reference.entries()) {
      loss += pair.weight * Math.exp(logProb) * evaluate(problem, policy, pair, y).loss;
    }
  }
  return loss;
}

/** d populationLoss / d theta: the code's derivatives by log-probabilities, times d log pi_theta / d theta. */
function populationGradient(problem: Problem): number[] {
  const policy = logSoftmax(problem.theta);
  const total = problem.theta.map(() => 0);
  for (const pair of problem.pairs) {
    for (const [y, logProb] of problem.reference.entries()) {
      const weight = pair.weight * Math.exp(logProb);
      const { gradient } = evaluate(problem, policy, pair, y);
      addScaled(total, scoreVector(policy, pair.chosen), weight * gradient.chosen);
      addScaled(total, scoreVector(policy, pair.rejected), weight * gradient.rejected);
      addScaled(total, scoreVector(policy, y), weight * gradient.response);
    }
  }
  return total;
}

function finiteDifference(problem: Problem, index: number): number {
  const step = 1e-4;
  const lossAt = (change: number): number =>
    populationLoss({ ...problem, theta: problem.theta.map((value, y) => (y === index ? value + change : value)) });
  return (lossAt(step) - lossAt(-step)) / (2 * step);
}

/** E over y ~ `sampler` of a field of the objective (of the first pair: exploration does not see the pair). */
function expectedTerm(
  problem: Problem,
  policy: number[],
  sampler: number[],
  pick: (result: PairObjective) => number,
): number {
  const pair = problem.pairs[0];
  if (!pair) throw new Error('The problem has no pairs');
  return sampler.reduce((sum, logProb, y) => sum + Math.exp(logProb) * pick(evaluate(problem, policy, pair, y)), 0);
}

/** rhat_theta(y), as the code reports it for a pair whose chosen response is y. */
function implicitReward(problem: Problem, policy: number[], y: number, logProb: number): number {
  const { rewardChosen } = evaluate(problem, policy, { chosen: y, rejected: 0, weight: 1 }, 0);
  expectNear(rewardChosen, problem.beta * (logProb - at(problem.reference, y)), EXACT);
  return rewardChosen;
}

/** d log pi_theta(y) / d theta = e_y - pi_theta for pi_theta = softmax(theta). */
function scoreVector(policy: number[], y: number): number[] {
  return policy.map((logProb, index) => (index === y ? 1 : 0) - Math.exp(logProb));
}

function logSumExp(values: number[]): number {
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

function logSoftmax(values: number[]): number[] {
  const normaliser = logSumExp(values);
  return values.map((value) => value - normaliser);
}

/** E over y ~ exp(logProbs) of values[y]. */
function mean(logProbs: number[], values: number[]): number {
  return logProbs.reduce((sum, logProb, y) => sum + Math.exp(logProb) * at(values, y), 0);
}

/** KL(p || q) of two lists of log-probabilities. */
function divergence(p: number[], q: number[]): number {
  return mean(p, p) - mean(p, q);
}

function addScaled(target: number[], source: number[], factor: number): void {
  for (const [index, value] of source.entries()) target[index] = at(target, index) + factor * value;
}

function at(values: number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new Error(`No value at ${index}`);
  return value;
}

function expectNear(actual: number, expected: number, tolerance: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance);
}

function real(size: number): fc.Arbitrary<number> {
  return fc.double({ min: -size, max: size, noNaN: true });
}

/** 2 to 6 responses, any policy and reference, up to 4 weighted pairs of different responses. */
function anyProblem(): fc.Arbitrary<Problem> {
  return fc.integer({ min: 2, max: 6 }).chain((responses) => {
    const parameters = fc.array(real(3), { minLength: responses, maxLength: responses });
    const pair = fc.record({
      chosen: fc.nat({ max: responses - 1 }),
      offset: fc.integer({ min: 1, max: responses - 1 }),
      share: fc.integer({ min: 1, max: 5 }),
    });
    return fc
      .record({
        theta: parameters,
        reference: parameters.map(logSoftmax),
        pairs: fc.array(pair, { minLength: 1, maxLength: 4 }),
        beta: fc.double({ min: 0.05, max: 1, noNaN: true }),
        alpha: fc.double({ min: 0, max: 1, noNaN: true }),
      })
      .map((problem) => {
        const total = problem.pairs.reduce((sum, { share }) => sum + share, 0);
        const pairs = problem.pairs.map(({ chosen, offset, share }) => ({
          chosen,
          rejected: (chosen + offset) % responses,
          weight: share / total,
        }));
        return { ...problem, pairs };
      });
  });
}
