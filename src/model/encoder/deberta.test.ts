/**
 * @file The encoder against transformers' DeBERTa-v2 on small random checkpoints: distances beyond the table, masks with
 * holes, every combination of position terms. Fixtures: scripts/fixtures/rankers.py.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { readSafetensorsHeader } from '../../files/safetensors.ts';
import { mapFile, mappedTensor } from '../../torch/mapped-file.ts';
import { memoryStatistics } from '../../torch/memory.ts';
import { to_dtype } from '../../torch/ops.ts';
import { disposeAll, scope, toFloat32Array } from '../../torch/tensor.ts';
import { readConfigFile } from '../config-file.ts';
import { openWeights } from '../weight-files.ts';
import { debertaShapes, openDeberta } from './deberta.ts';
import { normaliseDebertaConfig, relativeBucket } from './deberta-config.ts';
import { encodeRows } from './encoder.ts';
import type { EncoderDtype } from './encoder-weights.ts';

const root = join(packageRoot, 'test', 'fixtures', 'rankers', 'encoders');

interface Case {
  ids: number[];
  /** Places of the ids that the mask kept. */
  positions: number[];
  /** Places whose hidden states are known. */
  rows: number[];
}

function read(folder: string): Case[] {
  return (JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as { cases: Case[] }).cases;
}

function known(folder: string, index: number): Float32Array {
  const path = join(folder, 'expected.safetensors');
  const { tensors, dataOffset } = readSafetensorsHeader(path);
  const entry = tensors.get(`hidden.${index}`);
  if (entry === undefined) throw new Error(`No hidden.${index}`);
  const range = { begin: dataOffset + entry.begin, end: dataOffset + entry.end, shape: entry.shape };
  return scope('expected', () => toFloat32Array(mappedTensor(mapFile(path), { ...range, dtype: 'float32' })));
}

/** Hidden states of every case's rows, all cases on one stream. */
function encode(folder: string, cases: readonly Case[], dtype: EncoderDtype): Float32Array {
  const { path, value } = readConfigFile(folder);
  const config = normaliseDebertaConfig(value, path);
  const stored = openWeights(folder, { model: 'a test', expected: debertaShapes(config), nameOf: (name) => name });
  const encoder = openDeberta(config, stored, { dtype });
  try {
    return scope('test', () => {
      const wanted = cases.map(({ rows, positions }) => rows.map((row) => positions.indexOf(row)));
      return toFloat32Array(to_dtype(encodeRows(encoder, cases, wanted), 'float32'));
    });
  } finally {
    encoder.dispose();
    disposeAll(stored);
  }
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

describe.each(['shared', 'own-projections', 'content-to-position', 'position-to-content'])('the encoder %s', (name) => {
  const folder = join(root, name);
  const cases = read(folder);
  const expected = Float32Array.from(cases.flatMap((_, i) => Array.from(known(folder, i))));

  it('has the hidden states of transformers within 1e-4, sequences packed on one stream', () => {
    expect(largestDifference(encode(folder, cases, 'float32'), expected)).toBeLessThan(1e-4);
  });

  it('computes in bfloat16 what float32 gives, to the 8 bits of its numbers', () => {
    // Hidden states are normalised to about 1, and each of two blocks rounds a few times to 2^-8.
    expect(largestDifference(encode(folder, cases.slice(0, 1), 'bfloat16'), known(folder, 0))).toBeLessThan(0.15);
  });

  it('gives every tensor back', () => {
    const before = memoryStatistics().liveTensors;
    encode(folder, cases.slice(0, 1), 'bfloat16');
    expect(memoryStatistics().liveTensors).toBe(before);
  });
});

describe('relativeBucket()', () => {
  const { tables } = JSON.parse(readFileSync(join(root, 'buckets.json'), 'utf8')) as {
    tables: { span: number; maxDistance: number; buckets: number[] }[];
  };

  it.each(tables)('is that of transformers for every distance below 2300: table of 2 x $span', (table) => {
    const config = { span: table.span, logBuckets: { maxDistance: table.maxDistance } };
    expect(table.buckets.map((_, distance) => relativeBucket(config, distance))).toEqual(table.buckets);
    expect(table.buckets.map((_, distance) => 0 - relativeBucket(config, -distance))).toEqual(table.buckets);
  });
});

describe('normaliseDebertaConfig()', () => {
  const { value } = readConfigFile(join(root, 'shared'));

  it.each([
    ['model_type', 'bert'],
    ['position_biased_input', true],
    ['conv_kernel_size', 3],
    ['type_vocab_size', 2],
    ['relative_attention', false],
    ['hidden_act', 'relu'],
    ['pos_att_type', ['p2p']],
  ])('refuses %s = %j by name', (field, wrong) => {
    expect(() => normaliseDebertaConfig({ ...(value as object), [field]: wrong }, 'config.json')).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(`${field} is `) }),
    );
  });
});
