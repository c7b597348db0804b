/**
 * @file What a pass of decoding knows of its rows, on the device: the pages that they read, where their new tokens go, how those are turned,
 * and which random numbers draw the next ones. The host lays rows out when some come or go or need a page; from one pass to the next
 * the layout counts on by itself, so that the host need not know which tokens were drawn.
 */
import type { ModelConfig } from '../model/config.ts';
import { rotaryRow } from '../model/rope.ts';
import type { RandomKey } from '../random.ts';
import { noGrad } from '../torch/autograd.ts';
import {
  add__Scalar,
  add_Tensor,
  copy_,
  div_Tensor_mode,
  gather,
  mul_Scalar,
  narrow,
  remainder_Scalar,
  select_int,
  squeeze_dim,
  uniforms,
  unsqueeze,
  view,
} from '../torch/ops.ts';
import { int64, scope, type Tensor } from '../torch/tensor.ts';
import { PAGE_TOKENS, placeOf } from './pages.ts';

/** One sequence of a decoding batch: its pages, its prompt's, and its random numbers. */
export interface DecodeRow {
  prompt: { pages: readonly number[]; length: number };
  pages: readonly number[];
  /** Index in the response of the token that goes into the cache next. */
  position: number;
  key: RandomKey;
}

/** How large a layout is: rows, and pages of a row's table. */
export interface LayoutShape {
  rows: number;
  width: number;
}

/** Rows as a pass of decoding reads them: parts of one tensor of integers. Whoever lays them out frees them. */
export interface RowLayout {
  /** All of them. */
  numbers: Tensor;
  /** Pages of each row's prompt, then its own, [B, M]. */
  tables_BM: Tensor;
  /** Tokens that the new one sees of its prompt and of its response, itself included, [B, 2]. */
  lengths_B2: Tensor;
  /** The second of these: a part of them, [B]. */
  ownLengths_B: Tensor;
  /** The next three, as one, [3, B]. */
  counts_3B: Tensor;
  /** Index of the new token in its response. */
  positions_B: Tensor;
  /** Its row in the rotary tables. */
  rotary_B: Tensor;
  /** Where it goes: page * PAGE_TOKENS + token of the page. */
  places_B: Tensor;
  /** Where a row's own pages begin in its table, [B]. */
  firstOwn_B: Tensor;
  /** PAGE_TOKENS, [1]. */
  pageTokens: Tensor;
  keys_B4: Tensor;
}

/** The smallest shape of these rows. */
export function shapeOf(rows: readonly DecodeRow[]): LayoutShape {
  const width = Math.max(...rows.map(({ prompt, pages }) => prompt.pages.length + pages.length));
  return { rows: rows.length, width };
}

/** The integers of a layout in order; `length` is that of the cache's rotary tables. */
export function layoutNumbers(
  rows: readonly DecodeRow[],
  { width }: LayoutShape,
  { config, length }: { config: ModelConfig; length: number },
): number[] {
  const tables = rows.flatMap(({ prompt, pages }) => {
    const unused = width - prompt.pages.length - pages.length;
    return [...prompt.pages, ...pages, ...Array<number>(unused).fill(0)];
  });
  return [
    ...tables,
    ...rows.flatMap(({ prompt, position }) => [prompt.length, position + 1]),
    ...rows.map(({ position }) => position),
    ...rows.map(({ prompt, position }) =>
      rotaryRow(config, { position: prompt.length + position, promptLength: prompt.length, length }),
    ),
    ...rows.map(({ pages, position }) => placeOf(pages, position)),
    ...rows.map(({ prompt }) => prompt.pages.length),
    PAGE_TOKENS,
    ...rows.flatMap(({ key }) => wordsOf(key)),
  ];
}

/** How many integers a layout has. */
export function layoutSize({ rows, width }: LayoutShape): number {
  return rows * (width + 10) + 1;
}

/** The layout that a tensor of a layout's integers is. Its parts change with it. */
export function layoutOver(numbers: Tensor, { rows, width }: LayoutShape): RowLayout {
  let begin = 0;
  const next = (...shape: [number, ...number[]]): Tensor => {
    const size = shape.reduce((product, length) => product * length, 1);
    const part = narrow(numbers, 0, begin, size);
    begin += size;
    return shape.length === 1 ? part : view(part, shape);
  };
  const tables_BM = next(rows, width);
  const lengths_B2 = next(rows, 2);
  const counts_3B = next(3, rows);
  return {
    ...{ numbers, tables_BM, lengths_B2, counts_3B },
    firstOwn_B: next(rows),
    pageTokens: next(1),
    keys_B4: next(rows, 4),
    ownLengths_B: select_int(lengths_B2, 1, 1),
    positions_B: select_int(counts_3B, 0, 0),
    rotary_B: select_int(counts_3B, 0, 1),
    places_B: select_int(counts_3B, 0, 2),
  };
}

/** Lays rows out, in one copy to the device; `length` is that of the cache's rotary tables. */
export function layRows(
  rows: readonly DecodeRow[],
  { config, device, length }: { config: ModelConfig; device: string; length: number },
): RowLayout {
  const shape = shapeOf(rows);
  return layoutOver(int64(layoutNumbers(rows, shape, { config, length }), { device }), shape);
}

/** Makes the next token of each row the new one; `startsPage` says whether one of them is the first of a page. */
export function advance(layout: RowLayout, startsPage: boolean): void {
  scope('advance', () =>
    noGrad(() => {
      add__Scalar(layout.counts_3B, 1);
      add__Scalar(layout.ownLengths_B, 1);
      if (startsPage) copy_(layout.places_B, placesByTables(layout));
    }),
  );
}

/** placeOf each row's new token, by the tables. */
function placesByTables({ tables_BM, positions_B, firstOwn_B, pageTokens }: RowLayout): Tensor {
  const ownPages_B = div_Tensor_mode(positions_B, pageTokens, { roundingMode: 'floor' });
  const pages_B1 = gather(tables_BM, 1, unsqueeze(add_Tensor(ownPages_B, firstOwn_B), 1));
  const within_B = remainder_Scalar(positions_B, PAGE_TOKENS);
  return add_Tensor(mul_Scalar(squeeze_dim(pages_B1, 1), PAGE_TOKENS), within_B);
}

/** The uniform numbers that draw the tokens after the new ones, [B]: a response's n-th token has the n-th number of its key. */
export function nextUniforms({ keys_B4, ownLengths_B }: RowLayout): Tensor {
  return uniforms(keys_B4, ownLengths_B);
}

/** The uniform numbers that draw the first tokens of responses, [B]. */
export function firstUniforms(keys: readonly RandomKey[], device: string): Tensor {
  const keys_B4 = int64(keys.flatMap(wordsOf), { shape: [keys.length, 4], device });
  return uniforms(keys_B4, int64(Array<number>(keys.length).fill(0), { device }));
}

function wordsOf({ key0, key1, stream0, stream1 }: RandomKey): number[] {
  return [key0, key1, stream0, stream1];
}
