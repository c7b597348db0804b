import { expect, test } from 'vitest';
import { type Askable, withinBudget } from './budget.ts';

/** Questions of one label, later ones worth less; chance has them in the opposite order. */
const questions: Askable[] = Array.from({ length: 40 }, (_, n) => ({
  key: String(n),
  labels: 1,
  value: -n,
  chance: 1 - n / 40,
}));
const keys = (asked: readonly { key: string }[]): number[] => asked.map(({ key }) => Number(key));

test('of a budget a tenth goes to what chance drew, the rest to what is worth most', () => {
  const asked = withinBudget(questions, { budget: 20, randomShare: 0.1 });
  expect(asked.filter(({ isDrawn }) => isDrawn).map(({ key }) => key)).toEqual(['39', '38']);
  expect(keys(asked.filter(({ isDrawn }) => !isDrawn))).toEqual(Array.from({ length: 18 }, (_, n) => n));
});

test('a small budget has one drawn question, and none where no share is random', () => {
  expect(keys(withinBudget(questions, { budget: 3, randomShare: 0.1 }))).toEqual([39, 0, 1]);
  expect(keys(withinBudget(questions, { budget: 3, randomShare: 0 }))).toEqual([0, 1, 2]);
});

test('without a budget everything is asked, and the share is of all of it', () => {
  const asked = withinBudget(questions, { budget: null, randomShare: 0.25 });
  expect(asked).toHaveLength(40);
  expect(asked.filter(({ isDrawn }) => isDrawn)).toHaveLength(10);
});

test('a question that takes more labels than are left is passed over', () => {
  const dear = { key: '100', labels: 3, value: 9, chance: 0.99 };
  expect(keys(withinBudget([dear, ...questions], { budget: 2, randomShare: 0 }))).toEqual([0, 1]);
});

test('rounds spend the budget in parts; what chance drew comes first, and what is worth most by then', () => {
  const already = new Set<string>();
  const rounds = [1, 2, 3, 4].map((number) => {
    // From the second round on the last questions are worth most.
    const now = number === 1 ? questions : questions.map((each, n) => ({ ...each, value: n }));
    const asked = withinBudget(now, { budget: 8, randomShare: 0.25, already, round: { number, of: 4 } });
    for (const { key } of asked) already.add(key);
    return asked.map(({ key, isDrawn }) => `${key}${isDrawn ? ' drawn' : ''}`);
  });
  expect(rounds).toEqual([
    ['39 drawn', '38 drawn'],
    ['37', '36'],
    ['35', '34'],
    ['33', '32'],
  ]);
});

test('a round too small for a question leaves its labels to the next', () => {
  const dear = questions.map((each) => ({ ...each, labels: 3 }));
  const round = (number: number, already: ReadonlySet<string>) =>
    keys(withinBudget(dear, { budget: 6, randomShare: 0, already, round: { number, of: 4 } }));
  expect(round(1, new Set())).toEqual([]);
  expect(round(2, new Set())).toEqual([0]);
  expect(round(3, new Set(['0']))).toEqual([]);
  expect(round(4, new Set(['0']))).toEqual([1]);
});

test('of questions worth the same, chance decides', () => {
  const same = questions.map((each) => ({ ...each, value: 0 }));
  expect(keys(withinBudget(same, { budget: 2, randomShare: 0 }))).toEqual([39, 38]);
});
