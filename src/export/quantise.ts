/** @file Weights as the bytes of a GGUF tensor: fp32, fp16, bf16, or q8_0 as ggml's reference rounds it. */
import { ModelError } from '../errors.ts';
import { abs, amax, to_dtype } from '../torch/ops.ts';
import { scope, type Tensor, tensorFrom, toBytes, toFloat32Array } from '../torch/tensor.ts';
import { type GgufTensorType, Q8_BLOCK } from './gguf.ts';

/** The data of a tensor in a type of GGUF. */
export function ggufData(tensor: Tensor, type: GgufTensorType): Uint8Array {
  return scope('export a tensor', () => {
    switch (type) {
      case 'f32':
        return toBytes(to_dtype(tensor, 'float32'));
      case 'f16':
        refuseOverflow(tensor);
        return toBytes(to_dtype(tensor, 'float16'));
      case 'bf16':
        return toBytes(to_dtype(tensor, 'bfloat16'));
      case 'q8_0':
        return quantiseQ8(toFloat32Array(to_dtype(tensor, 'float32')));
    }
  });
}

/** Largest number of fp16; beyond lies infinity, and a model that says nothing. */
const LARGEST_HALF = 65504;

function refuseOverflow(tensor: Tensor): void {
  const [largest = 0] = toFloat32Array(to_dtype(amax(abs(tensor)), 'float32'));
  if (largest <= LARGEST_HALF) return;
  throw new ModelError(
    'EXPORT_UNSUPPORTED',
    `Cannot export weights as f16: one is ${largest}, and fp16 ends at ${LARGEST_HALF}: export with --type f32, bf16 or q8_0`,
    { details: { largest } },
  );
}

/**
 * q8_0 (ggml-quants.c, quantize_row_q8_0_ref): each block of 32 numbers becomes d = max|x| / 127 in fp16 and x / d as
 * whole numbers from -127 to 127, halves away from zero. The values' count is a multiple of 32.
 */
export function quantiseQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / Q8_BLOCK;
  const scales = new Float32Array(blocks);
  const bytes = new Uint8Array(blocks * (2 + Q8_BLOCK));
  const quants = new Int8Array(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * Q8_BLOCK;
    let largest = 0;
    for (let i = 0; i < Q8_BLOCK; i++) largest = Math.max(largest, Math.abs(values[from + i] ?? 0));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    scales[block] = scale;
    const to = block * (2 + Q8_BLOCK) + 2;
    for (let i = 0; i < Q8_BLOCK; i++) {
      const scaled = Math.fround((values[from + i] ?? 0) * inverse);
      quants[to + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
  const halves = toBytes(to_dtype(tensorFrom(scales, [blocks], 'float32'), 'float16'));
  for (let block = 0; block < blocks; block++) {
    bytes.set(halves.subarray(2 * block, 2 * block + 2), block * (2 + Q8_BLOCK));
  }
  return bytes;
}
