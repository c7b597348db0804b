/** @file Files as tensors without copying: the operating system pages them in (`aten::from_file`). */
import { statSync } from 'node:fs';
import type { Dtype } from './dtype.ts';
import { from_file, slice_Tensor, view, view_dtype } from './ops.ts';
import type { Tensor } from './tensor.ts';

/** The whole file as a uint8 tensor backed by a private, read-only-by-convention mapping. The file must not be empty. */
export function mapFile(path: string): Tensor {
  return from_file(path, { shared: false, size: statSync(path).size, dtype: 'uint8' });
}

/** Bytes [begin, end) of a mapped file as a tensor; shares the mapping. */
export function mappedTensor(
  file: Tensor,
  range: { begin: number; end: number; dtype: Dtype; shape: readonly number[] },
): Tensor {
  const bytes = slice_Tensor(file, { dim: 0, start: range.begin, end: range.end });
  return view(view_dtype(bytes, range.dtype), range.shape);
}
