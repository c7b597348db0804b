import { expect, test } from 'vitest';
import { float32, scope } from '../torch/tensor.ts';
import { ggufData, quantiseQ8 } from './quantise.ts';

test('ggufData() refuses a weight that fp16 cannot hold', () => {
  scope('test', () => {
    expect(ggufData(float32([65504, -1]), 'f16')).toHaveLength(4);
    expect(() => ggufData(float32([1, -70_000]), 'f16')).toThrow('one is 70000, and fp16 ends at 65504');
    expect(() => ggufData(float32([1, Number.NaN]), 'f16')).toThrow('one is NaN');
  });
});

// Made by gguf.quants.quantize(values, GGMLQuantizationType.Q8_0) on a float32 array.
test('quantiseQ8() gives the bytes of gguf-py 0.19, whose results are those of ggml', () => {
  const values = Float32Array.from([
    ...Array.from({ length: 32 }, (_, i) => (Math.sin(i * 0.7) * (1 + (i % 5))) / 3),
    ...new Array<number>(32).fill(0),
    // A scale of 1: halves are rounded away from zero.
    127,
    ...Array.from({ length: 31 }, (_, i) => 0.5 * i - 8),
  ]);
  expect(Buffer.from(quantiseQ8(values)).toString('hex')).toBe(
    'ac2200214c582bf7d3b5bf0211334221d1e9ced10356192b17d98ee7e104467f150f' +
      '00000000000000000000000000000000000000000000000000000000000000000000' +
      '003c7ff8f8f9f9fafafbfbfcfcfdfdfefeffff000101020203030404050506060707',
  );
});
