import { expect, it } from 'vitest';
import { upToDate } from './run-config-versions.ts';

const place = { model: 'gpt-4-1106-preview', baseUrl: 'http://localhost:1/v1', budget: { calls: 7 } };

/** A config.yaml of version 4 whose recipe measures so. */
function version4(evaluate: Record<string, unknown>) {
  return { formatVersion: 4, recipe: { name: 'old', evaluate } };
}

it('moves the judge of AlpacaEval and MT-Bench to evaluate.judge, and keeps the model that one of them names apart', () => {
  const old = version4({
    limit: 3,
    alpaca: { judge: { ...place, read: 'text' }, limit: 5 },
    mtBench: { judge: { ...place, model: 'gpt-4' }, base: true },
  });
  expect(upToDate(old).recipe).toEqual({
    name: 'old',
    evaluate: {
      limit: 3,
      judge: place,
      alpaca: { judge: null, read: 'text', limit: 5 },
      mtBench: { judge: 'gpt-4', base: true },
    },
  });
});

it('takes the judge of MT-Bench where it is alone, and leaves a run without judges as it is', () => {
  expect(upToDate(version4({ alpaca: null, mtBench: { judge: place } })).recipe).toEqual({
    name: 'old',
    evaluate: { judge: place, alpaca: null, mtBench: { judge: null } },
  });
  const plain = version4({ alpaca: null, mtBench: null });
  expect(upToDate(plain).recipe).toEqual(plain.recipe);
});

it('makes the budget that people had a selection of prompts by chance, and drops that of a second opinion', () => {
  const people = { kind: 'people', votes: 2, muchBetter: 2, budget: 30 };
  const { budget: _, ...now } = people;
  const old = { formatVersion: 5, recipe: { ranker: people, secondOpinion: { ranker: people, share: 0.1 } } };
  expect(upToDate(old).recipe).toEqual({
    ranker: now,
    select: { budget: 30 },
    secondOpinion: { ranker: now, share: 0.1 },
  });
  const all = { formatVersion: 5, recipe: { ranker: { ...people, budget: null }, secondOpinion: null } };
  expect(upToDate(all).recipe).toEqual({ ranker: now });
});
