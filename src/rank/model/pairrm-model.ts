/**
 * @file PairRM's weights: a DeBERTa encoder and a head that scores a candidate beside its source. Two layouts are read,
 * both with the same tensor names: `llm-blender/PairRM-hf` (its config.json is the encoder's) and the original
 * `llm-blender/PairRM` (its config.json is LLM-Blender's, so the encoder's sizes are taken from the tensors).
 */
import { z } from 'zod';
import { ModelError } from '../../errors.ts';
import { safetensorsIndex } from '../../files/safetensors-index.ts';
import { parseConfig, readConfigFile, refuseField, textField } from '../../model/config-file.ts';
import { debertaShapes, openDeberta } from '../../model/encoder/deberta.ts';
import { type DebertaConfig, normaliseDebertaConfig } from '../../model/encoder/deberta-config.ts';
import { addLinear, encodeRows } from '../../model/encoder/encoder.ts';
import { type Computation, weightsFor } from '../../model/encoder/encoder-weights.ts';
import { openWeights } from '../../model/weight-files.ts';
import { noGrad } from '../../torch/autograd.ts';
import { cat, index_select, linear, tanh, to_dtype } from '../../torch/ops.ts';
import { disposeAll, int64, scope, type Tensor, toFloat32Array } from '../../torch/tensor.ts';
import type { PairLimits } from './pairrm-input.ts';

const BACKBONE = 'pretrained_model.';
/** Head-to-width ratio of every published DeBERTa-v3. */
const V3_HEAD_SIZE = 64;

/** One ordered pair: its ids, and where source, left and right candidate are marked. */
export interface PairSequence {
  ids: readonly number[];
  markers: readonly [number, number, number];
}

/** PairRM, open. */
export interface PairRmModel {
  limits: PairLimits;
  vocabularySize: number;
  /** logit(left, right) of each pair: above 0 the left one is better. All pairs run as one stream. */
  logits(pairs: readonly PairSequence[]): number[];
  dispose(): void;
}

const limitsSchema = z.looseObject({
  n_tasks: z.number().int().default(1),
  source_maxlength: z.number().int().min(8).default(1224),
  candidate_maxlength: z.number().int().min(8).default(412),
});

/** Opens PairRM in either layout. ModelError when the directory holds another model, or not all of this one. */
export function openPairRm(directory: string, computation: Computation): PairRmModel {
  const { path, value } = readConfigFile(directory);
  const isOriginal = textField(value, 'ranker_type') !== null;
  const architectures = (value as { architectures?: unknown } | null)?.architectures;
  const isPairRm = Array.isArray(architectures)
    ? architectures.includes('DebertaV2PairRM')
    : textField(value, 'model_type') === 'deberta-v2' && safetensorsIndex(directory).tensors.has('head_layer.4.weight');
  if (!isOriginal && !isPairRm) {
    const found = Array.isArray(architectures) ? architectures.join(', ') : textField(value, 'model_type');
    throw new ModelError(
      'RANKER_ARCHITECTURE',
      `Cannot use ${directory} as PairRM: its config.json describes ${found ?? 'no model'}, allowed are llm-blender/PairRM and llm-blender/PairRM-hf: for a reward model set ranker.kind to reward-model`,
      { details: { file: path, found: found ?? null } },
    );
  }
  const raw = parseConfig(limitsSchema, value, path);
  if (raw.n_tasks !== 1) refuseField(path, { field: 'n_tasks', value: raw.n_tasks, allowed: '1' });
  const config = isOriginal ? originalConfig(directory, value, path) : normaliseDebertaConfig(value, path);
  const shapes = debertaShapes(config);
  const size = config.hiddenSize;
  addLinear(shapes, 'head_layer.1', [size, 2 * size]);
  addLinear(shapes, 'head_layer.4', [1, size]);
  const stored = openWeights(directory, {
    model: 'PairRM',
    expected: shapes,
    nameOf: (name) => {
      const bare = name.startsWith(BACKBONE) ? name.slice(BACKBONE.length) : name;
      return bare === 'embeddings.position_ids' ? null : bare;
    },
  });
  const encoder = openDeberta(config, stored, computation);
  // The head is small and decides alone: it is computed in float32.
  const head = weightsFor(new Map([...stored].filter(([name]) => name.startsWith('head_layer.'))), {
    ...computation,
    dtype: 'float32',
  });
  return {
    limits: { source: raw.source_maxlength, candidate: raw.candidate_maxlength },
    vocabularySize: config.vocabularySize,
    logits: (pairs) =>
      scope('compare', () => {
        const hidden_MD = encodeRows(
          encoder,
          pairs,
          pairs.map(({ markers }) => markers),
        );
        return noGrad(() => headLogits(head, to_dtype(hidden_MD, 'float32')));
      }),
    dispose: () => {
      encoder.dispose();
      disposeAll([head, stored]);
    },
  };
}

/** f([source; left]) - f([source; right]) of rows (source, left, right) of each pair, f a layer of tanh. */
function headLogits(head: ReadonlyMap<string, Tensor>, hidden_MD: Tensor): number[] {
  const pairs = (hidden_MD.shape[0] ?? 0) / 3;
  const rows = (marker: number): Tensor =>
    index_select(
      hidden_MD,
      0,
      int64(
        Array.from({ length: pairs }, (_, i) => 3 * i + marker),
        { device: hidden_MD.device },
      ),
    );
  const apply = (x: Tensor, name: string): Tensor => {
    const [weight, bias] = [head.get(`${name}.weight`), head.get(`${name}.bias`)];
    if (weight === undefined || bias === undefined) throw new Error(`No weight ${name}`);
    return linear(x, weight, { bias });
  };
  const score = (candidate: Tensor): Float32Array =>
    toFloat32Array(apply(tanh(apply(cat([rows(0), candidate], { dim: 1 }), 'head_layer.1')), 'head_layer.4'));
  const [left, right] = [score(rows(1)), score(rows(2))];
  return Array.from(left, (value, i) => value - (right[i] ?? Number.NaN));
}

/** The encoder of the original layout: a DeBERTa-v3, whose settings are fixed but for sizes that the tensors have. */
function originalConfig(directory: string, value: unknown, path: string): DebertaConfig {
  const kind = textField(value, 'ranker_type');
  if (kind !== 'pairranker') refuseField(path, { field: 'ranker_type', value: kind, allowed: 'pairranker' });
  const { tensors } = safetensorsIndex(directory);
  const shape = (name: string): number[] => {
    const found = tensors.get(BACKBONE + name)?.shape;
    if (found !== undefined) return found;
    throw new ModelError(
      'MODEL_WEIGHT_MISSING',
      `Cannot load ${directory}: tensor ${BACKBONE + name} is in none of its safetensors files`,
      { details: { file: directory, tensor: BACKBONE + name } },
    );
  };
  const [vocabularySize = 0, hiddenSize = 0] = shape('embeddings.word_embeddings.weight');
  const [rows = 0] = shape('encoder.rel_embeddings.weight');
  const layers = [...tensors.keys()].filter((name) => name.endsWith('.intermediate.dense.weight')).length;
  return {
    vocabularySize,
    hiddenSize,
    layers,
    intermediateSize: shape('encoder.layer.0.intermediate.dense.weight')[0] ?? 0,
    heads: hiddenSize / V3_HEAD_SIZE,
    headSize: V3_HEAD_SIZE,
    normEpsilon: 1e-7,
    span: rows / 2,
    logBuckets: { maxDistance: 512 },
    contentToPosition: true,
    positionToContent: true,
    sharedProjections: true,
    normRelative: true,
    maxTokens: 512,
  };
}
