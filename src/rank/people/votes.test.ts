import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fitVotes } from './votes.ts';

interface Case {
  name: string;
  votes: { item: string; annotator: string; says: 'first' | 'second' }[];
  first: Record<string, number>;
  ability: Record<string, number>;
  ease: Record<string, number>;
}

const file = new URL('../../../test/fixtures/people/votes.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

it.each(cases)('crowd-kit fits the same to $name', ({ votes, first, ability, ease }) => {
  const model = fitVotes(votes.map(({ item: question, ...vote }) => ({ question, ...vote })));
  // Both climb to the same maximum, each until its own notion of still: its gradient is below 1e-9 there and below 1e-10 here.
  const close = (ours: ReadonlyMap<string, number>, theirs: Record<string, number>): void => {
    expect([...ours.keys()].sort()).toEqual(Object.keys(theirs).sort());
    for (const [name, value] of Object.entries(theirs)) expect(ours.get(name), name).toBeCloseTo(value, 5);
  };
  close(model.probabilities, first);
  close(model.abilities, ability);
  close(model.ease, ease);
});

it('one vote alone is likely and not certain; no vote is no question', () => {
  expect(fitVotes([]).probabilities.size).toBe(0);
  const { probabilities } = fitVotes([{ question: 'q', annotator: 'a', says: 'second' }]);
  expect(probabilities.get('q')).toBeCloseTo(1 - 1 / (1 + Math.exp(-Math.E)), 6);
});

it('who contradicts all others weighs less than they do', () => {
  const questions = Array.from({ length: 12 }, (_, n) => `q${n}`);
  const votes = questions.flatMap((question, n) => [
    { question, annotator: 'a', says: 'first' as const },
    { question, annotator: 'b', says: 'first' as const },
    { question, annotator: 'odd', says: n % 2 === 0 ? ('first' as const) : ('second' as const) },
  ]);
  const { abilities, probabilities } = fitVotes(votes);
  expect(abilities.get('odd')).toBeLessThan(0.5 * (abilities.get('a') ?? 0));
  expect(probabilities.get('q1')).toBeGreaterThan(0.9);
});
