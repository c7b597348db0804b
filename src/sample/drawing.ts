/**
 * @file Tokens between the pass that draws them and the host that hears of them. The newest token of each sequence stays on the device, where
 * the next pass reads it; a copy for the host is under way meanwhile. What the CPU drew is heard at once. What another device drew
 * last is heard a pass late: no pass waits for the one before, and a sequence that ended has one token too many.
 */
import { TensorError } from '../errors.ts';
import { alias, cat, index_select, sampleTokens } from '../torch/ops.ts';
import {
  disposeAll,
  type Fetch,
  fetchLater,
  int64,
  outlive,
  scope,
  type Tensor,
  toFloat64Array,
  toIntegers,
} from '../torch/tensor.ts';

/** How tokens are chosen. Temperature 0 is greedy; topK 0 and topP 1 switch those filters off. */
export interface TokenChoice {
  temperature: number;
  topP: number;
  topK: number;
}

/** Tokens that were drawn, and their log-probabilities in nats at temperature 1, [B]. */
export interface Drawn {
  ids_B: Tensor;
  logProbs_B: Tensor;
}

/** Draws a token from each row of logits [B, V], by its uniform number [B]. */
export function drawTokens({ temperature, topK, topP }: TokenChoice, logits_BV: Tensor, uniforms_B: Tensor): Drawn {
  const [ids_B, logProbs_B] = sampleTokens(logits_BV, temperature, topK, topP, uniforms_B);
  return { ids_B, logProbs_B };
}

/** A token as the host hears of it. */
export interface HeardToken<Sequence> {
  sequence: Sequence;
  token: number;
  /** In nats at temperature 1. */
  logProb: number;
}

/** A draw whose tokens the next pass reads, [B]. */
interface NewestDraw<Sequence> {
  sequences: readonly Sequence[];
  ids_B: Tensor;
}

/** The draws of a batch. A class because it is the state that drawing changes. */
export class Draws<Sequence extends object> {
  readonly #device: string;
  #newest: NewestDraw<Sequence>[] = [];
  #underWay: { sequences: readonly Sequence[]; fetch: Fetch }[] = [];

  constructor(device: string) {
    this.#device = device;
  }

  /**
   * Takes the next token of each sequence, as it was drawn. The tensors may be written over by a pass that comes after the one that
   * reads the newest tokens.
   */
  add(sequences: readonly Sequence[], { ids_B, logProbs_B }: Drawn): void {
    this.#underWay.push({ sequences, fetch: fetchLater([ids_B, logProbs_B]) });
    this.#newest.push({ sequences, ids_B: outlive(ids_B) });
  }

  /** The newest tokens of sequences, [B], in the open scope. All others are forgotten: who is not asked for does not go on. */
  takeNewest(sequences: readonly Sequence[]): Tensor {
    const draws = this.#newest;
    const drawn = draws.flatMap((draw) => draw.sequences);
    const rowOf = new Map(drawn.map((sequence, row) => [sequence, row]));
    const rows = sequences.map((sequence) => rowOf.get(sequence) ?? Number.NaN);
    const all = draws.map(({ ids_B }) => ids_B);
    const [only] = all;
    const joined_D = all.length === 1 && only !== undefined ? alias(only) : cat(all);
    disposeAll(all);
    this.#newest = [];
    const areAll = rows.length === drawn.length && rows.every((row, i) => row === i);
    return areAll ? joined_D : index_select(joined_D, 0, int64(rows, { device: this.#device }));
  }

  /** What was drawn and not heard yet, draw by draw; without `all`, what another device drew last is left to the next time. */
  hear(which: 'all' | 'not the latest'): HeardToken<Sequence>[][] {
    const late = which === 'all' || this.#device === 'cpu' ? 0 : 1;
    const ready = this.#underWay.splice(0, Math.max(0, this.#underWay.length - late));
    return ready.map(({ sequences, fetch }) => {
      const { tokens, logProbs } = scope('hear tokens', () => {
        const [ids_B, logProbs_B] = fetch.read();
        if (ids_B === undefined || logProbs_B === undefined) throw new Error('A draw without tokens');
        return { tokens: toIntegers(ids_B), logProbs: toFloat64Array(logProbs_B) };
      });
      return sequences.map((sequence, i) => heard(sequence, tokens[i], logProbs[i]));
    });
  }

  dispose(): void {
    for (const { fetch } of this.#underWay) fetch.dispose();
    disposeAll(this.#newest);
    this.#underWay = [];
    this.#newest = [];
  }
}

function heard<Sequence>(sequence: Sequence, token = Number.NaN, logProb = Number.NaN): HeardToken<Sequence> {
  if (!Number.isNaN(logProb)) return { sequence, token, logProb };
  throw new TensorError('OPERATOR_FAILED', 'Cannot draw a token: the logits of a row are not finite');
}
