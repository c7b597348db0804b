import { describe, expect, it } from 'vitest';
import { alphaAt, epochsAt } from './iterations.ts';

describe('alphaAt()', () => {
  it('is one number for all iterations, or the one listed', () => {
    expect([1, 2, 3].map((iteration) => alphaAt(1e-3, iteration))).toEqual([1e-3, 1e-3, 1e-3]);
    expect([1, 2, 3].map((iteration) => alphaAt([5e-3, 1e-3, 0], iteration))).toEqual([5e-3, 1e-3, 0]);
  });

  it('refuses an iteration beyond the list, and the warm start', () => {
    expect(() => alphaAt([1e-3], 2)).toThrow(expect.objectContaining({ code: 'ALPHA_LIST_TOO_SHORT' }));
    expect(() => alphaAt(1e-3, 0)).toThrow(expect.objectContaining({ code: 'ITERATION_INVALID' }));
  });
});

describe('epochsAt()', () => {
  it('is one number for all iterations, or the one listed, of which the warm start takes the first', () => {
    expect([0, 1, 2].map((iteration) => epochsAt(2, iteration))).toEqual([2, 2, 2]);
    expect([0, 1, 2, 3].map((iteration) => epochsAt([3, 2, 1], iteration))).toEqual([3, 3, 2, 1]);
  });

  it('goes on with the last of a list, and reaches no further than there are iterations', () => {
    expect([1, 2, 3, 4].map((iteration) => epochsAt([2, 1], iteration))).toEqual([2, 1, 1, 1]);
  });
});
