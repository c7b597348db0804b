/**
 * @file A decoder with a head of one score on its last token (`LlamaForSequenceClassification` and its like): the score is
 * `score.weight` times the final hidden state. Sequences that begin alike share that beginning: it is computed once.
 */
import { ModelError } from '../../errors.ts';
import { noGrad } from '../../torch/autograd.ts';
import { linear, to_device, to_dtype } from '../../torch/ops.ts';
import { disposeAll, int64, outlive, scope, type Tensor, toFloat32Array } from '../../torch/tensor.ts';
import type { ModelConfig } from '../config.ts';
import { mapValues } from '../decoder.ts';
import type { Computation } from '../encoder/encoder-weights.ts';
import { embedTokens, hiddenRows, type PackedTokens, packedContext, packedRotations } from '../packed.ts';
import { readModelConfig } from '../read-config.ts';
import { longAfter } from '../rope.ts';
import { openWeights } from '../weight-files.ts';
import { biasName, EMBEDDING, expectedWeights, HEAD } from '../weights.ts';
import { type Classifier, checkScoreHead } from './score-head.ts';

/** Name of the head's weights. */
export const SCORE = 'score.weight';

/** Opens a decoder with a score head. */
export function openDecoderClassifier(directory: string, { dtype, device = 'cpu' }: Computation): Classifier {
  const config = readModelConfig(directory);
  checkScoreHead(directory, SCORE);
  const expected = expectedWeights({ ...config, tiedHead: true });
  expected.set(SCORE, [1, config.hiddenSize]);
  const stored = openWeights(directory, {
    model: `a ${config.family} classifier`,
    expected,
    nameOf: (name) => (name === HEAD || name.endsWith('rotary_emb.inv_freq') ? null : name),
  });
  // Matrices in the type of the computation; norms, biases and the head in float32.
  const weights = outlive(
    scope(
      'convert weights',
      () =>
        new Map(
          [...stored].map(([name, weight]) => [
            name,
            to_device(weight, device, weight.shape.length === 1 || name === SCORE ? 'float32' : dtype),
          ]),
        ),
    ),
  );
  const weightOf = (name: string): Tensor => {
    const weight = weights.get(name);
    if (weight === undefined) throw new Error(`No weight ${name}`);
    return weight;
  };
  const linearOf = (x: Tensor, name: string): Tensor => {
    const bias = weights.get(biasName(name));
    return linear(x, weightOf(name), { bias: bias === undefined ? null : to_dtype(bias, dtype) });
  };
  const padId = padIdOf(config);
  return {
    family: 'decoder',
    maxTokens: config.maxPositions,
    scores: (sequences) =>
      scope('score', () => {
        const { tokens, rows } = packSequences(
          sequences.map((ids) => withoutPadding(ids, padId)),
          longAfter(config),
        );
        const hidden_ND = hiddenRows(() => ({
          context: packedContext(config, tokens, {
            rotation: packedRotations(config, tokens, device),
            vector: weightOf,
            linear: linearOf,
            linears: (x, names) => mapValues(names, (name) => linearOf(x, name)),
          }),
          x_TD: embedTokens(weightOf(EMBEDDING), int64(tokens.ids_T, { device }), { config, dtype }),
          rows_R: int64(rows, { device }),
        }));
        return noGrad(() => Array.from(toFloat32Array(linear(to_dtype(hidden_ND, 'float32'), weightOf(SCORE)))));
      }),
    dispose: () => disposeAll([weights, stored]),
  };
}

function padIdOf(config: ModelConfig): number | null {
  const id = config.raw.fields.pad_token_id;
  return typeof id === 'number' ? id : null;
}

/** transformers scores the last token that is not the padding token, also where a text itself ends with that token. */
function withoutPadding(ids: readonly number[], padId: number | null): readonly number[] {
  const last = ids.findLastIndex((id) => id !== padId);
  return ids.slice(0, Math.max(1, last + 1));
}

/**
 * Sequences as one tree: their common beginning, then each one's rest; and the row of each one's last token. Where rope
 * changes with the length of a sequence, long ones and short ones share nothing, and each stands alone.
 */
export function packSequences(
  sequences: readonly (readonly number[])[],
  rotationChangesAfter: number,
): { tokens: PackedTokens; rows: number[] } {
  if (sequences.length === 0 || sequences.some((ids) => ids.length === 0))
    throw new ModelError('SEQUENCE_EMPTY', 'Cannot score a sequence without tokens');
  const isLong = (ids: readonly number[]): boolean => ids.length > rotationChangesAfter;
  const [first = []] = sequences;
  const alike = sequences.every((ids) => isLong(ids) === isLong(first));
  const shared = alike ? first.findIndex((id, i) => sequences.some((ids) => ids[i] !== id)) : 0;
  const prefix = shared < 0 ? first : first.slice(0, shared);
  const segments: number[] = prefix.length > 0 ? [0, prefix.length, -1] : [];
  const ids = [...prefix];
  const positions = prefix.map((_, i) => i);
  const long = prefix.map(() => (isLong(first) ? 1 : 0));
  const rows = sequences.map((sequence) => {
    const own = sequence.slice(prefix.length);
    if (own.length === 0) return prefix.length - 1;
    segments.push(ids.length, own.length, prefix.length > 0 ? 0 : -1);
    for (const [i, id] of own.entries()) {
      ids.push(id);
      positions.push(prefix.length + i);
      long.push(isLong(sequence) ? 1 : 0);
    }
    return ids.length - 1;
  });
  const tokens = {
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from(positions),
    long_T: Uint8Array.from(long),
    longAfter: rotationChangesAfter,
    segments,
  };
  return { tokens, rows };
}
