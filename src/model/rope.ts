/** @file Rotary position embedding: frequencies, and tables of cosines and sines. */
import { index_select } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor, tensorFrom } from '../torch/tensor.ts';
import type { ModelConfig, RopeConfig } from './config.ts';

/**
 * Inverse frequencies of the rotary pairs, headSize / 2 of them, rounded to fp32 as transformers computes them; `long` for
 * a sequence that is longer than the positions at which longrope changes its factors.
 */
export function inverseFrequencies(rope: RopeConfig, headSize: number, long = false): Float32Array {
  const plain = Float32Array.from({ length: headSize / 2 }, (_, i) => 1 / rope.theta ** ((2 * i) / headSize));
  switch (rope.kind) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / rope.factor);
    case 'llama3': {
      // Wavelengths beyond original / low are stretched, those below original / high kept, those between blended.
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original } = rope;
      return plain.map((frequency) => {
        const wavelength = (2 * Math.PI) / frequency;
        if (wavelength < original / high) return frequency;
        if (wavelength > original / low) return frequency / factor;
        const smooth = (original / wavelength - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      });
    }
    case 'yarn': {
      const [low, high] = yarnRange(rope, headSize);
      return plain.map((frequency, i) => {
        const divided = Math.min(1, Math.max(0, (i - low) / (high - low)));
        return (frequency / rope.factor) * divided + frequency * (1 - divided);
      });
    }
    case 'longrope': {
      const factors = long ? rope.longFactors : rope.shortFactors;
      return Float32Array.from(
        { length: headSize / 2 },
        (_, i) => 1 / ((factors[i] ?? Number.NaN) * rope.theta ** ((2 * i) / headSize)),
      );
    }
  }
}

/** The pairs between which YaRN's ramp lies: those that turn betaFast and betaSlow times over the original positions. */
function yarnRange(rope: Extract<RopeConfig, { kind: 'yarn' }>, headSize: number): [number, number] {
  const pairOf = (rotations: number): number =>
    (headSize * Math.log(rope.originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(rope.theta));
  const [low, high] = [pairOf(rope.betaFast), pairOf(rope.betaSlow)];
  const from = Math.max(0, rope.truncate ? Math.floor(low) : low);
  const to = Math.min(headSize - 1, rope.truncate ? Math.ceil(high) : high);
  return from === to ? [from, to + 0.001] : [from, to];
}

/** Cosines and sines of tokens, two fp32 tensors [T, headSize / 2]. */
export interface Rotation {
  cos_TR: Tensor;
  sin_TR: Tensor;
}

/** Cosines and sines of positions 0 .. length - 1; then, for longrope, those of the same positions in long sequences. */
export interface RotaryTable {
  cos_PR: Tensor;
  sin_PR: Tensor;
}

/** One table a rope of the model. */
export function rotaryTables(config: ModelConfig, length: number, device = 'cpu'): RotaryTable[] {
  return config.ropes.map((rope) => rotaryTable(rope, { headSize: config.headSize, length, device }));
}

function rotaryTable(
  rope: RopeConfig,
  { headSize, length, device }: { headSize: number; length: number; device: string },
): RotaryTable {
  const half = headSize / 2;
  const scale = 'attentionFactor' in rope ? rope.attentionFactor : 1;
  const parts = rope.kind === 'longrope' ? [false, true] : [false];
  const cos = new Float32Array(parts.length * length * half);
  const sin = new Float32Array(cos.length);
  parts.forEach((long, part) => {
    const frequencies = inverseFrequencies(rope, headSize, long);
    for (let position = 0; position < length; position++) {
      for (let i = 0; i < half; i++) {
        const angle = Math.fround(position * (frequencies[i] ?? 0));
        const at = (part * length + position) * half + i;
        cos[at] = Math.cos(angle) * scale;
        sin[at] = Math.sin(angle) * scale;
      }
    }
  });
  const shape = [parts.length * length, half];
  return { cos_PR: tensorFrom(cos, shape, 'float32', device), sin_PR: tensorFrom(sin, shape, 'float32', device) };
}

/** A model's tables for sequences of any length. */
export interface Rotary {
  /** Tables of at least so many positions, and of how many. They are made anew only for a longer sequence than came before. */
  tablesOf(positions: number): { tables: readonly RotaryTable[]; length: number };
  dispose(): void;
}

/** Positions by which tables grow. */
const ROTARY_STEP = 256;

/** Opens a model's tables on a device; none is made before it is asked for. */
export function openRotary(config: ModelConfig, device: string): Rotary {
  let made: { tables: readonly RotaryTable[]; length: number } | null = null;
  return {
    tablesOf(positions) {
      if (made !== null && made.length >= positions) return made;
      const length = Math.ceil(positions / ROTARY_STEP) * ROTARY_STEP;
      const tables = outlive(scope('rotary tables', () => rotaryTables(config, length, device)));
      disposeAll(made?.tables);
      made = { tables, length };
      return made;
    },
    dispose() {
      disposeAll(made?.tables);
      made = null;
    },
  };
}

/** Length beyond which a sequence's tokens use the second part of the table. */
export function longAfter(config: ModelConfig): number {
  const lengths = config.ropes.map((rope) =>
    rope.kind === 'longrope' ? rope.originalMaxPositions : Number.POSITIVE_INFINITY,
  );
  return Math.min(...lengths);
}

/**
 * The row of a token in tables of `length` positions. A sequence whose prompt is long has those of long sequences from its first token on.
 */
export function rotaryRow(
  config: ModelConfig,
  { position, promptLength, length }: { position: number; promptLength: number; length: number },
): number {
  return position + (promptLength > longAfter(config) ? length : 0);
}

/** The rotation of every token in each layer, from tables; `rows_T` are the tokens' rows in them. */
export function rotations(
  config: ModelConfig,
  tables: readonly RotaryTable[],
  rows_T: Tensor,
): (layer: number) => Rotation {
  const byRope = tables.map(({ cos_PR, sin_PR }) => ({
    cos_TR: index_select(cos_PR, 0, rows_T),
    sin_TR: index_select(sin_PR, 0, rows_T),
  }));
  return (layer) => {
    const rotation = byRope[config.layerAttention[layer]?.rope ?? 0];
    if (rotation === undefined) throw new Error(`No rope of layer ${layer}`);
    return rotation;
  };
}
