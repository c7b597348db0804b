/** @file Pages are lent and taken back; what is in them outlives the growth of their pool. */
import { afterEach, expect, it } from 'vitest';
import { smallConfig } from '../../test/support/small-model.ts';
import { noGrad } from '../torch/autograd.ts';
import { fill__Scalar, narrow } from '../torch/ops.ts';
import { scope, toFloat32Array } from '../torch/tensor.ts';
import { PAGE_TOKENS, PagePool, pagesFor } from './pages.ts';

const config = smallConfig();
const pool = new PagePool(config, { dtype: 'float32', device: 'cpu' });
afterEach(() => pool.dispose());

it('pagesFor() counts the pages that tokens fill or begin', () => {
  expect([0, 1, PAGE_TOKENS, PAGE_TOKENS + 1].map(pagesFor)).toEqual([0, 1, 1, 2]);
});

it('lends every page once, takes pages back, and keeps their contents when it grows', () => {
  const first = pool.take(3);
  scope('write', () =>
    noGrad(() => {
      for (const page of first) void fill__Scalar(narrow(pool.layer(1).keys, 0, page, 1), 1 + page);
    }),
  );
  const many = pool.take(100);
  expect(new Set([...first, ...many]).size).toBe(103);
  scope('read', () =>
    noGrad(() => {
      for (const page of first)
        expect(new Set(toFloat32Array(narrow(pool.layer(1).keys, 0, page, 1)))).toEqual(new Set([1 + page]));
    }),
  );
  const pages = pool.layer(0).keys.shape[0] ?? 0;
  pool.give(many);
  pool.take(100);
  expect(pool.layer(0).keys.shape[0]).toBe(pages);
});
