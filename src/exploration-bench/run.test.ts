import { describe, expect, it } from 'vitest';
import { believe, learnLabels, newEnsemble } from '../select/ensemble.ts';
import type { Budget, Method } from './method.ts';
import { runMethod } from './run.ts';
import { drawWorld } from './world.ts';

const world = drawWorld(
  {
    prompts: 3,
    responses: 60,
    features: 6,
    baseSpread: 1,
    rareResponses: 2,
    rareShare: 0.05,
    rareReward: 4,
    labelScale: 2,
    policy: 'features',
  },
  3,
);
const BUDGET: Budget = { labels: 96, labelsAnIteration: 32, epochs: 2, batchSize: 8, learningRate: 20 };
const DPO: Method = {
  name: 'dpo',
  objective: { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } },
  samples: 2,
  temperature: 1,
  pairing: { kind: 'rank', rule: 'best-and-worst' },
  prompts: 'any',
  reference: 'previous',
  accumulate: false,
  countBonus: 0,
};
const run = (method: Partial<Method>) => runMethod(world, { method: { ...DPO, ...method }, budget: BUDGET, seed: 5 });
const dpo = DPO.objective.preference;

describe('runMethod()', () => {
  it('spends the labels and learns from them: the reward rises, the best is out of reach', () => {
    const { points, best, regret } = run({});
    expect(points.map(({ labels }) => labels)).toEqual([0, 32, 64, 96]);
    expect(points.at(-1)?.reward).toBeGreaterThan((points[0]?.reward ?? 0) + 0.5);
    expect(points.at(-1)?.reward).toBeLessThan(best);
    expect(regret).toBeGreaterThan(0);
  });

  it('is the same for the same seed, and for a term of strength 0', () => {
    expect(run({})).toEqual(run({}));
    for (const kind of ['selm', 'xpo', 'popo', 'held', 'vpo'] as const) {
      const zero = run({ objective: { preference: dpo, exploration: { kind, alpha: 0 }, chosenLikelihood: 0 } });
      if (kind !== 'xpo') expect(zero).toEqual(run({})); // xpo draws a response more
    }
  });

  it('a partner at another temperature leaves the first answers as they are', () => {
    const [cool, hot] = [run({ partnerTemperature: 1 }), run({ partnerTemperature: 3 })];
    expect(cool).toEqual(run({}));
    expect(hot.rare.sampled).not.toBe(cool.rare.sampled);
  });

  it('asks about the two answers that tell most, one label a prompt', () => {
    const { points, rare } = run({ samples: 8, pairing: { kind: 'inform' } });
    expect(points.map(({ labels }) => labels)).toEqual([0, 32, 64, 96]);
    // A rare answer differs from all others in a number of its own: it is asked about more often than by chance.
    expect(rare.paired).toBeGreaterThan(
      run({ samples: 8, pairing: { kind: 'ask', rule: 'random', beliefs: 'implicit' } }).rare.paired,
    );
  });

  it.each([
    ['an optimism term', { objective: { preference: dpo, exploration: { kind: 'selm', alpha: 0.5 } } }],
    ['a count bonus', { countBonus: 0.05 }],
    ['an exploratory bonus', { exploratoryBonus: { form: 'arctanh', alpha: 0.02 } }],
    ['a chosen likelihood', { objective: { preference: dpo, exploration: { kind: 'none' }, chosenLikelihood: 0.1 } }],
    ['replay', { accumulate: true }],
    ['the initial reference', { reference: 'initial' }],
  ] as [string, Partial<Method>][])('%s changes what is learned, not what is asked first', (_, method) => {
    const [plain, changed] = [run({}), run(method)];
    expect(changed.points[0]).toEqual(plain.points[0]);
    expect(changed.points.at(-1)?.reward).not.toBe(plain.points.at(-1)?.reward);
  });

  it('charges a ranking of four answers three labels and a question about two of them one', () => {
    const ranked = run({ samples: 4 });
    const asked = run({ samples: 4, pairing: { kind: 'ask', rule: 'random', beliefs: 'implicit' } });
    // Of 32 labels: 11 rankings of four, or 32 questions about two of four; a few more where answers were equal.
    expect(ranked.points[1]?.sampled).toBeLessThan(60);
    expect(asked.points[1]?.sampled).toBeGreaterThanOrEqual(4 * 32);
  });

  it('makes six pairs of a ranking of four where it takes all pairs, for as many labels', () => {
    const two = run({ samples: 4 });
    const all = run({ samples: 4, pairing: { kind: 'rank', rule: 'all-pairs' } });
    expect(all.points[1]).toMatchObject({ labels: two.points[1]?.labels, sampled: two.points[1]?.sampled });
    // Every rare answer that was sampled stands in up to three pairs, and so in more than the best and the worst alone.
    expect(all.rare.paired).toBeGreaterThan(2 * two.rare.paired);
  });

  it('passes over its pairs as often as the method says, or else the budget', () => {
    expect(run({ passes: BUDGET.epochs })).toEqual(run({}));
    expect(run({ passes: 6 }).points[1]?.klToBase).toBeGreaterThan(1.5 * (run({}).points[1]?.klToBase ?? 0));
  });

  it('counts where rare answers went', () => {
    const { rare } = run({ samples: 4 });
    expect(rare.sampled).toBeGreaterThanOrEqual(rare.paired);
    expect(rare.paired).toBeGreaterThanOrEqual(rare.chosen);
    expect(rare.chosen).toBeGreaterThan(0);
  });

  it('sees unsure prompts only, where it asks by entropy, at four times the samples', () => {
    expect(run({ prompts: 'entropy' }).points[1]?.sampled).toBeGreaterThan(3.5 * (run({}).points[1]?.sampled ?? 0));
  });
});

it('heads of an ensemble agree on what labels told them, and differ elsewhere', () => {
  const ensemble = newEnsemble(world, 1);
  const [winner, loser, unseen] = [10, 20, 30];
  const [before] = believe(world, ensemble, [winner]);
  for (let time = 0; time < 20; time++)
    learnLabels(
      world,
      ensemble,
      [...Array(12)].map(() => ({ winner, loser })),
    );
  const [won, lost] = believe(world, ensemble, [winner, loser]);
  expect(won?.mean).toBeGreaterThan((lost?.mean ?? 0) + 1);
  expect((before?.upper ?? 0) - (before?.lower ?? 0)).toBeGreaterThan(0);
  expect(believe(world, ensemble, [unseen])[0]?.upper).toBeGreaterThan(
    believe(world, ensemble, [unseen])[0]?.lower ?? 0,
  );
});
