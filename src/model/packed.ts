/**
 * @file Tokens of prompt trees packed on one stream, and their way through a decoder without a graph: what training's
 * reference pass and a reward model's scores share. How weights are multiplied is passed in.
 */
import { noGrad } from '../torch/autograd.ts';
import { index_select, to_dtype, treeAttention } from '../torch/ops.ts';
import { int64, scope, type Tensor } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';
import { attentionRule, type BlockContext, decoderBlock, finalNorm, scaledEmbedding } from './decoder.ts';
import { longAfter, type Rotation, rotaryTables, rotations } from './rope.ts';

/** T tokens of a stream: who attends to whom, and where each token stands in its sequence. */
export interface PackedTokens {
  ids_T: Int32Array;
  /** Positions restart after the prompt for every continuation. */
  positions_T: Int32Array;
  /** 1 for tokens of sequences of more than `longAfter` tokens. */
  long_T: Uint8Array;
  longAfter: number;
  /** (start, length, parent) of every segment, see native/kernels/schemas.cc. */
  segments: readonly number[];
}

/** What blocks need to know of a stream; `weights` say how the model's weights are reached, `rotation` how its tokens are turned. */
export function packedContext(
  config: ModelConfig,
  tokens: Pick<PackedTokens, 'segments'>,
  { rotation, ...weights }: Pick<BlockContext, 'vector' | 'linear' | 'linears' | 'rotation'>,
): BlockContext {
  return {
    config,
    ...weights,
    attend: ({ q_THd, k_TKd, v_TKd }, layer) => {
      const { scale, window, softCap } = attentionRule(config, layer);
      return treeAttention(q_THd, k_TKd, v_TKd, tokens.segments, scale, { window, softCap });
    },
    rotation,
  };
}

/** The rotation of every token of a stream in each layer. */
export function packedRotations(
  config: ModelConfig,
  tokens: PackedTokens,
  device?: string,
): (layer: number) => Rotation {
  const length = positionsOf(tokens);
  const rows_T = int64(rotaryRows(config, tokens, length), { device });
  return rotations(config, rotaryTables(config, length, device), rows_T);
}

/** Positions that a stream's tokens stand at, from 0 to the last. */
export function positionsOf({ positions_T }: PackedTokens): number {
  return positions_T.reduce((most, position) => Math.max(most, position), 0) + 1;
}

/** Every token's row in rotary tables of `length` positions. */
export function rotaryRows(config: ModelConfig, tokens: PackedTokens, length: number): Int32Array {
  if (tokens.longAfter !== longAfter(config)) {
    throw new Error(
      `A batch packed for sequences up to ${tokens.longAfter}, the model's rope changes after ${longAfter(config)}`,
    );
  }
  return tokens.positions_T.map((position, i) => position + (tokens.long_T[i] === 1 ? length : 0));
}

/** Rows of the embedding as the first block sees them, [T, D] in `dtype`. */
export function embedTokens(
  embedding: Tensor,
  ids_T: Tensor,
  { config, dtype }: { config: ModelConfig; dtype: 'float32' | 'bfloat16' },
): Tensor {
  const rows_TD = index_select(embedding, 0, ids_T);
  return to_dtype(scaledEmbedding(to_dtype(rows_TD, 'float32'), config), dtype);
}

/** Final hidden states of some rows of a stream, [R, D]; no graph. `open` makes the stream's context, its embeddings, and the rows. */
export function hiddenRows(open: () => { context: BlockContext; x_TD: Tensor; rows_R: Tensor }): Tensor {
  return noGrad(() =>
    scope('forward', () => {
      const { context, rows_R, ...embedded } = open();
      const last = context.config.layers - 1;
      let x_TD = embedded.x_TD;
      for (let layer = 0; layer <= last; layer++) {
        const input_TD = x_TD;
        x_TD = scope('block', () => decoderBlock(input_TD, layer, context, layer === last ? rows_R : undefined));
        input_TD.dispose('the next block');
      }
      return finalNorm(x_TD, context);
    }),
  );
}
