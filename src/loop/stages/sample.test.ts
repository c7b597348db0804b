import { expect, test } from 'vitest';
import { parseRecipe } from '../../recipe/load.ts';
import { exploredSample, sourcesOf } from './sample.ts';

test.each([
  [{ kind: 'selm', alpha: 0.001 }, 'previous', 0],
  [{ kind: 'popo', alpha: 0.001 }, 'previous', 0],
  [{ kind: 'held', alpha: 0.001 }, 'previous', 0],
  [{ kind: 'vpo', alpha: 0.001 }, 'previous', 0],
  [{ kind: 'xpo', alpha: 0.001 }, 'initial', 2],
  // The twin of an xpo run measures the same y; iterative DPO measures its own first sample.
  [{ kind: 'none' }, 'initial', 2],
] as const)(
  'exploredSample() of %j beside two samples of the policy and one of the reference',
  (exploration, reference, index) => {
    const recipe = parseRecipe({
      name: 'x',
      seed: 1,
      model: 'model',
      data: { train: 'rows.jsonl' },
      reference,
      sampling: { samples: 2, referenceSamples: 1, temperature: 1 },
      ranker: { kind: 'function', module: 'reward.ts' },
      objective: { preference: { kind: 'dpo' }, exploration },
      training: { learningRate: 1e-6 },
    });
    expect(exploredSample(recipe)).toBe(index);
    expect(exploredSample({ ...recipe, sampling: { ...recipe.sampling, referenceSamples: 0 } })).toBe(
      exploration.kind === 'xpo' ? 2 : 0,
    );
  },
);

test.each([
  [null, ['policy at 0.5: 0, 1, 2', 'initial at 0.5: 3']],
  [1.5, ['policy at 0.5: 0', 'policy at 1.5: 1, 2', 'initial at 0.5: 3']],
])('a partner temperature of %s: who answers, how hot, in which places', (partnerTemperature, expected) => {
  const { sampling } = parseRecipe({
    name: 'x',
    seed: 1,
    model: 'model',
    data: { train: 'rows.jsonl' },
    sampling: { samples: 3, referenceSamples: 1, temperature: 0.5, partnerTemperature },
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'selm', alpha: 0.001 } },
    training: { learningRate: 1e-6 },
  });
  const sources = sourcesOf(sampling, { policyDirectory: 'policy', referenceDirectory: 'initial' });
  const texts = sources.map(
    ({ modelDirectory, temperature, sampleIndices }) =>
      `${modelDirectory} at ${temperature}: ${sampleIndices.join(', ')}`,
  );
  expect(texts).toEqual(expected);
});
