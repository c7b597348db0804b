import fc from 'fast-check';
import { expect, test } from 'vitest';
import { orderBy } from './order.ts';
import { mostQuestions, type Selectable, selectItems } from './selection.ts';

const drawn = (key: string): Selectable => ({ key, cost: 1, sureness: null });
const doubtful = (key: string, sureness: number): Selectable => ({ key, cost: 1, sureness });

test('without a budget people are asked about everything, the least sure first', () => {
  expect(selectItems([doubtful('b', 0.4), drawn('c'), doubtful('a', 0.1)], null)).toEqual(['a', 'b', 'c']);
});

test('of a budget a tenth goes to prompts drawn at random, the rest to those in doubt', () => {
  const items = [
    ...Array.from({ length: 30 }, (_, n) => doubtful(`doubt ${n}`, n / 100)),
    ...Array.from({ length: 10 }, (_, n) => drawn(`drawn ${n}`)),
  ];
  const asked = selectItems(items, 20);
  expect(asked).toHaveLength(20);
  expect(asked.filter((key) => key.startsWith('drawn'))).toEqual(['drawn 0', 'drawn 1']);
  expect(asked).toContain('doubt 17');
  expect(asked).not.toContain('doubt 18');
});

test('what is left of the budget goes to more drawn prompts, and nothing takes more than is left', () => {
  expect(selectItems([doubtful('a', 0), drawn('b'), drawn('c'), drawn('d')], 3)).toEqual(['b', 'a', 'c']);
  expect(selectItems([{ ...drawn('a'), cost: 3 }, drawn('b')], 2)).toEqual(['b']);
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
