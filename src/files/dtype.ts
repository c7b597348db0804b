/** @file The element types of safetensors files and their sizes. */

/**
 * Types in increasing alignment, the order in which the reference writer ranks them (a file lists the largest first).
 * Types below one byte (F4, F6) are known to the format but to nothing here, and are refused.
 */
export const SAFETENSORS_DTYPES = [
  'BOOL',
  'U8',
  'I8',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'I16',
  'U16',
  'F16',
  'BF16',
  'I32',
  'U32',
  'F32',
  'C64',
  'F64',
  'I64',
  'U64',
] as const;

export type SafetensorsDtype = (typeof SAFETENSORS_DTYPES)[number];

/** Whether a text names an element type. */
export function isSafetensorsDtype(text: string): text is SafetensorsDtype {
  return (SAFETENSORS_DTYPES as readonly string[]).includes(text);
}

/** Bytes of one element. */
export function elementBytes(dtype: SafetensorsDtype): 1 | 2 | 4 | 8 {
  switch (dtype) {
    case 'BOOL':
    case 'U8':
    case 'I8':
    case 'F8_E5M2':
    case 'F8_E4M3':
    case 'F8_E8M0':
    case 'F8_E4M3FNUZ':
    case 'F8_E5M2FNUZ':
      return 1;
    case 'I16':
    case 'U16':
    case 'F16':
    case 'BF16':
      return 2;
    case 'I32':
    case 'U32':
    case 'F32':
      return 4;
    case 'C64':
    case 'F64':
    case 'I64':
    case 'U64':
      return 8;
  }
}

/** Bytes of a whole tensor, or null when they are more than a number can count exactly (2^53). */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number | null {
  let bytes = BigInt(elementBytes(dtype));
  for (const size of shape) bytes *= BigInt(size);
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : null;
}
