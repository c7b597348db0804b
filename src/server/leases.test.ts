import { expect, test } from 'vitest';
import { Leases } from './leases.ts';

test("a question is somebody else's for ten seconds after it was last asked for", () => {
  const leases = new Leases();
  leases.give(['q'], 'ada', 1000);
  expect([leases.others('q', 'ada', 2000), leases.others('q', 'ben', 2000)]).toEqual([0, 1]);
  leases.give(['q'], 'ada', 9000);
  expect([leases.others('q', 'ben', 18_999), leases.others('q', 'ben', 19_000)]).toEqual([1, 0]);
});

test('a clock that jumps, forward or back, keeps no question from anybody for longer than that', () => {
  const leases = new Leases();
  leases.give(['q'], 'ada', 3_600_000);
  expect(leases.others('q', 'ben', 0)).toBe(0);
  leases.give(['q'], 'ada', 5000);
  expect(leases.others('q', 'ben', 5000)).toBe(1);
  expect(leases.others('q', 'ben', 9_000_000)).toBe(0);
});
