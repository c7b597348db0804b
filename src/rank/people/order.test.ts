import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Comparison, mostQuestions, orderBy } from './order.ts';

/** Asks until the order is known, of someone who values each text; returns it and how often was asked. */
function ordered(values: readonly number[]) {
  const said = new Map<string, Comparison>();
  for (;;) {
    const ordering = orderBy(values.length, (first, second) => said.get(`${first} ${second}`) ?? null);
    if (ordering.kind !== 'asks') return { ordering, questions: said.size };
    const { first, second } = ordering;
    const [a = 0, b = 0] = [values[first], values[second]];
    said.set(`${first} ${second}`, a > b ? 'first' : a < b ? 'second' : 'tie');
  }
}

test('two texts take one question, three at most three, and eight at most seventeen', () => {
  expect(ordered([1, 2])).toEqual({ ordering: { kind: 'ordered', places: [[1], [0]] }, questions: 1 });
  expect(ordered([3, 1, 2]).questions).toBeLessThanOrEqual(3);
  expect(ordered([3, 1, 2, 8, 5, 7, 6, 4]).questions).toBeLessThanOrEqual(17);
});

test('the order is the one that the person has in mind, equal texts on one place', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 8 }), (values) => {
      const { ordering } = ordered(values);
      const wanted = [...new Set(values)]
        .sort((a, b) => b - a)
        .map((value) => values.flatMap((each, index) => (each === value ? [index] : [])));
      expect(ordering).toEqual({ kind: 'ordered', places: wanted });
    }),
  );
});

test('one text needs no question, and a skipped question leaves the prompt out', () => {
  expect(orderBy(1, () => null)).toEqual({ kind: 'ordered', places: [[0]] });
  expect(orderBy(3, () => 'skip')).toEqual({ kind: 'skipped' });
});

test('the most questions of some texts are never exceeded, and reached', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true }), { maxLength: 9 }), (values) => {
      let asked = 0;
      orderBy(values.length, (a, b) => {
        asked += 1;
        return (values[a] ?? 0) > (values[b] ?? 0) ? 'first' : 'second';
      });
      expect(asked).toBeLessThanOrEqual(mostQuestions(values.length));
    }),
  );
  expect([0, 1, 2, 3, 4].map(mostQuestions)).toEqual([0, 0, 1, 3, 5]);
});
