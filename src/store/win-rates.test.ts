import { describe, expect, it } from 'vitest';
import type { Evaluation } from './evaluations.ts';
import { winRatesOf } from './win-rates.ts';

/** A policy with one answer a prompt; its margins over the policy before where a ranker was asked for them. */
function evaluation(rewards: Record<string, number>, margins: number[] | null = null): Evaluation {
  const promptIds = Object.keys(rewards);
  return {
    name: '',
    rewardName: '',
    data: {
      promptIds,
      rewards: Object.values(rewards),
      lengths: promptIds.map(() => 1),
      textHealth: null,
      finishedShare: null,
      diversity: null,
      klToBase: null,
      klToPrevious: null,
      marginsOverPrevious: margins,
      greedy: null,
    },
    answers: promptIds.map((promptId) => ({ promptId, prompt: '', text: '' })),
  };
}

const rewards = (values: number[]) => Object.fromEntries(values.map((value, i) => [`p${i}`, value]));
const run = (...policies: Evaluation[]) => new Map(policies.map((policy, iteration) => [iteration, policy]));

describe('winRatesOf', () => {
  it('counts wins over the base and over the iteration before by prompt, a tie one half', () => {
    const policies = run(
      evaluation(rewards([1, 1, 1, 1])),
      evaluation(rewards([2, 2, 0, 1])),
      evaluation(rewards([3, 1, 1, 1])),
    );
    const { base, previous } = winRatesOf(policies, { iteration: 2, seed: 1 });
    expect(base).toMatchObject({ value: (1 + 0.5 * 3) / 4, wins: 0.25, ties: 0.75, losses: 0, count: 4 });
    expect(previous).toMatchObject({ value: (1 + 0 + 1 + 0.5) / 4, wins: 0.5, ties: 0.25, losses: 0.25, count: 4 });
    expect(base?.low).toBeGreaterThanOrEqual(0.5);
  });

  it('has nothing before the first iteration but the base, and nothing of the base itself', () => {
    const policies = run(evaluation(rewards([1])), evaluation(rewards([2])));
    expect(winRatesOf(policies, { iteration: 1, seed: 1 })).toMatchObject({ base: { value: 1 }, previous: null });
    expect(winRatesOf(policies, { iteration: 0, seed: 1 })).toEqual({ base: null, previous: null });
  });

  it('takes what the ranker said of both answers where it has no scores, without those that it did not judge', () => {
    const margins = [0.2, -0.1, 0, Number.NaN];
    const policies = run(
      evaluation(rewards([0, 0, 0, 0])),
      evaluation(rewards([5, 5, 5, 5])),
      evaluation(rewards([1, 1, 1, 1]), margins),
    );
    expect(winRatesOf(policies, { iteration: 2, seed: 1 }).previous).toMatchObject({ value: 0.5, count: 3 });
    const none = run(evaluation(rewards([0])), evaluation(rewards([0])), evaluation(rewards([0]), [Number.NaN]));
    expect(winRatesOf(none, { iteration: 2, seed: 1 }).previous).toBeNull();
  });

  it('compares two policies on the prompts that both have a verdict on', () => {
    const policies = run(evaluation({ a: 0, b: 0, c: 9 }), evaluation({ a: 1, b: -1 }), evaluation({ a: 2, c: 0 }));
    const rates = winRatesOf(policies, { iteration: 2, seed: 1 });
    expect([rates.base?.count, rates.base?.value, rates.previous?.count, rates.previous?.value]).toEqual([
      2, 0.5, 1, 1,
    ]);
  });
});
