/** @file Rotary position embedding: frequencies and the table of cosines and sines. */
import { type Tensor, tensorFrom } from '../torch/tensor.ts';
import type { ModelConfig, RopeConfig } from './config.ts';

/**
 * Inverse frequencies of the rotary pairs, headSize / 2 of them, rounded to fp32 as transformers computes them.
 * llama3: wavelengths beyond originalMaxPositions / lowFrequencyFactor are stretched by `factor`, those below
 * originalMaxPositions / highFrequencyFactor are kept, those between are blended (Llama 3.1 release).
 */
export function inverseFrequencies(rope: RopeConfig, headSize: number): Float32Array {
  const plain = Float32Array.from({ length: headSize / 2 }, (_, i) => 1 / rope.theta ** ((2 * i) / headSize));
  switch (rope.kind) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / rope.factor);
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original } = rope;
      return plain.map((frequency) => {
        const wavelength = (2 * Math.PI) / frequency;
        if (wavelength < original / high) return frequency;
        if (wavelength > original / low) return frequency / factor;
        const smooth = (original / wavelength - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      });
    }
  }
}

/** Cosines and sines of positions 0 .. length - 1: two fp32 tensors [length, headSize / 2]. */
export function rotaryTable(config: ModelConfig, length: number): { cos_PR: Tensor; sin_PR: Tensor } {
  const frequencies = inverseFrequencies(config.rope, config.headSize);
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * (frequencies[i] ?? 0));
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos_PR: tensorFrom(cos, [length, half], 'float32'), sin_PR: tensorFrom(sin, [length, half], 'float32') };
}
