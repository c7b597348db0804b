/** @file Weights that are no numbers are refused when a model is opened, by file and tensor. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changedModel, type StoredTensor, tensorOf } from '../../test/support/changed-model.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadModel } from './load.ts';

const NAME = 'model.layers.3.mlp.up_proj.weight';
const SIZE = 172 * 64;

/** The tensor in 16 bits, each element these bits. */
function filled(dtype: 'BF16' | 'F16', { shape }: StoredTensor, bits: number): StoredTensor {
  return { dtype, shape, bytes: new Uint8Array(new Uint16Array(SIZE).fill(bits).buffer) };
}

function withElement(tensor: StoredTensor, index: number, bits: number): StoredTensor {
  const view = new DataView(tensor.bytes.buffer, tensor.bytes.byteOffset);
  if (tensor.dtype === 'F32') view.setUint32(4 * index, bits, true);
  else view.setUint16(2 * index, bits, true);
  return tensor;
}

const opened = (change: (tensor: StoredTensor) => StoredTensor): string =>
  changedModel(temporaryFolder(), {
    tensors: (tensors) => void tensors.set(NAME, change(tensorOf(tensors, NAME))),
  });

test.each<[string, (tensor: StoredTensor) => StoredTensor]>([
  ['a NaN in fp32', (tensor) => withElement(tensor, SIZE - 1, 0x7fc00000)],
  ['an infinity in fp32', (tensor) => withElement(tensor, 5, 0x7f800000)],
  ['a NaN in bf16', (tensor) => withElement(filled('BF16', tensor, 0x3c00), 1000, 0x7fc0)],
  ['an infinity in fp16', (tensor) => withElement(filled('F16', tensor, 0x2000), 1000, 0xfc00)],
])('loadModel() refuses %s', (_, change) => {
  const directory = opened(change);
  expect(() => loadModel(directory)).toThrow(
    expect.objectContaining({
      code: 'WEIGHTS_NOT_FINITE',
      message: expect.stringContaining(
        `${join(directory, 'model.safetensors')}: 1 of the ${SIZE} numbers of tensor ${NAME} are NaN or infinite`,
      ),
    }),
  );
});

test('loadModel() takes large numbers in fp16 whose sum overflows', () => {
  // 0x7800 is 32,768.
  loadModel(opened((tensor) => filled('F16', tensor, 0x7800))).dispose();
});
