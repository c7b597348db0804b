/** @file Element types of tensors: LibTorch's numbers, names, sizes and the typed arrays that hold them. */
import { TensorError } from '../errors.ts';

/** Element types that this package handles; names as in PyTorch. */
export type Dtype =
  | 'uint8'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'float16'
  | 'float32'
  | 'float64'
  | 'bool'
  | 'bfloat16';

const CODES: Record<Dtype, number> = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  bool: 11,
  bfloat16: 15,
};

const BYTES: Record<Dtype, number> = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
};

const NAMES = new Map<number, Dtype>(Object.entries(CODES).map(([name, code]) => [code, name as Dtype]));

/** LibTorch's number of an element type (c10::ScalarType). */
export function dtypeCode(dtype: Dtype): number {
  return CODES[dtype];
}

/** The element type of a LibTorch number; TensorError for one that this package does not handle. */
export function dtypeName(code: number): Dtype {
  const name = NAMES.get(code);
  if (name === undefined) {
    throw new TensorError(
      'DTYPE_UNSUPPORTED',
      `Cannot read a tensor of element type ${code}: allowed are ${Object.keys(CODES).join(', ')}`,
    );
  }
  return name;
}

/** Bytes of one element. */
export function dtypeBytes(dtype: Dtype): number {
  return BYTES[dtype];
}
