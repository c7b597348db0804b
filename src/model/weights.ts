/**
 * @file Hugging Face's names of a decoder's weights, and the shapes they must have. What a block has is in the tables
 * below; a name that is null is a step that the family does not have.
 */
import type { Tensor } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';

/** Names of the norms around attention and MLP. */
interface NormNames {
  beforeAttention: string | null;
  afterAttention: string | null;
  beforeMlp: string | null;
  afterMlp: string | null;
}

/** Names of the matrices that make queries, keys and values. */
export type QueryKeyValueNames =
  | { kind: 'separate'; query: string; key: string; value: string }
  | { kind: 'fused'; queryKeyValue: string };

/** Names of the matrices before the MLP's gate. */
export type GateNames = { kind: 'separate'; gate: string; up: string } | { kind: 'fused'; gateUp: string };

/** Names of one block's weights. */
export interface BlockNames extends NormNames {
  queryKeyValue: QueryKeyValueNames;
  queryNorm: string | null;
  keyNorm: string | null;
  output: string;
  gateUp: GateNames;
  down: string;
}

export const EMBEDDING = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const HEAD = 'lm_head.weight';

/** The same name, `post_attention_layernorm`, stands before the MLP in some families and after attention in others. */
const NORMS: Record<ModelConfig['normPlacement'], NormNames> = {
  before: {
    beforeAttention: 'input_layernorm.weight',
    afterAttention: null,
    beforeMlp: 'post_attention_layernorm.weight',
    afterMlp: null,
  },
  after: {
    beforeAttention: null,
    afterAttention: 'post_attention_layernorm.weight',
    beforeMlp: null,
    afterMlp: 'post_feedforward_layernorm.weight',
  },
  around: {
    beforeAttention: 'input_layernorm.weight',
    afterAttention: 'post_attention_layernorm.weight',
    beforeMlp: 'pre_feedforward_layernorm.weight',
    afterMlp: 'post_feedforward_layernorm.weight',
  },
};

/** Name of the matrix that gives logits: the head, or the embedding when it is tied. */
export function headName(config: ModelConfig): string {
  return config.tiedHead ? EMBEDDING : HEAD;
}

export function blockNames(config: ModelConfig, layer: number): BlockNames {
  const inBlock = (name: string): string => `model.layers.${layer}.${name}`;
  const norms = NORMS[config.normPlacement];
  const norm = (name: string | null): string | null => (name === null ? null : inBlock(name));
  const headNorm = (name: string): string | null => (config.queryKeyNorm === 'none' ? null : inBlock(name));
  const fused = config.projections === 'fused';
  return {
    beforeAttention: norm(norms.beforeAttention),
    queryKeyValue: fused
      ? { kind: 'fused', queryKeyValue: inBlock('self_attn.qkv_proj.weight') }
      : {
          kind: 'separate',
          query: inBlock('self_attn.q_proj.weight'),
          key: inBlock('self_attn.k_proj.weight'),
          value: inBlock('self_attn.v_proj.weight'),
        },
    queryNorm: headNorm('self_attn.q_norm.weight'),
    keyNorm: headNorm('self_attn.k_norm.weight'),
    output: inBlock('self_attn.o_proj.weight'),
    afterAttention: norm(norms.afterAttention),
    beforeMlp: norm(norms.beforeMlp),
    gateUp: fused
      ? { kind: 'fused', gateUp: inBlock('mlp.gate_up_proj.weight') }
      : { kind: 'separate', gate: inBlock('mlp.gate_proj.weight'), up: inBlock('mlp.up_proj.weight') },
    down: inBlock('mlp.down_proj.weight'),
    afterMlp: norm(norms.afterMlp),
  };
}

/**
 * The name, as in blockNames, of a tensor in the model's files; null for what is not read: buffers that follow from the
 * configuration, a head that is the embedding, and the eyes of a model of which the text part is run.
 */
export function weightInFile(config: ModelConfig, fileName: string): string | null {
  const name = config.part === 'whole' ? fileName : textName(fileName);
  if (name === null || name.endsWith('rotary_emb.inv_freq')) return null;
  return name === HEAD && config.tiedHead ? null : name;
}

/** Before transformers 4.52, and again on disk since, `language_model.` stands before the whole name. */
function textName(fileName: string): string | null {
  if (/^(model\.)?(vision_tower|multi_modal_projector)\./.test(fileName)) return null;
  return fileName.replace(/^language_model\./, '').replace(/^model\.language_model\./, 'model.');
}

/** The bias that belongs to a matrix. */
export function biasName(weight: string): string {
  return weight.replace(/\.weight$/, '.bias');
}

/** Every weight of the model with its shape, in order of use. */
export function expectedWeights(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, vocabularySize, headSize, biases } = config;
  const queries = config.heads * headSize;
  const keys = config.keyValueHeads * headSize;
  const shapes = new Map<string, number[]>([[EMBEDDING, [vocabularySize, hiddenSize]]]);
  const vector = (name: string | null, length: number): void => {
    if (name !== null) shapes.set(name, [length]);
  };
  const matrix = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(name, [outputs, inputs]);
    if (bias) shapes.set(biasName(name), [outputs]);
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const names = blockNames(config, layer);
    vector(names.beforeAttention, hiddenSize);
    if (names.queryKeyValue.kind === 'fused') {
      matrix(names.queryKeyValue.queryKeyValue, queries + 2 * keys, hiddenSize, biases.queryKeyValue);
    } else {
      matrix(names.queryKeyValue.query, queries, hiddenSize, biases.queryKeyValue);
      matrix(names.queryKeyValue.key, keys, hiddenSize, biases.queryKeyValue);
      matrix(names.queryKeyValue.value, keys, hiddenSize, biases.queryKeyValue);
    }
    vector(names.queryNorm, config.queryKeyNorm === 'whole' ? queries : headSize);
    vector(names.keyNorm, config.queryKeyNorm === 'whole' ? keys : headSize);
    matrix(names.output, hiddenSize, queries, biases.output);
    vector(names.afterAttention, hiddenSize);
    vector(names.beforeMlp, hiddenSize);
    if (names.gateUp.kind === 'fused') {
      matrix(names.gateUp.gateUp, 2 * intermediateSize, hiddenSize, biases.mlp);
    } else {
      matrix(names.gateUp.gate, intermediateSize, hiddenSize, biases.mlp);
      matrix(names.gateUp.up, intermediateSize, hiddenSize, biases.mlp);
    }
    matrix(names.down, hiddenSize, intermediateSize, biases.mlp);
    vector(names.afterMlp, hiddenSize);
  }
  vector(FINAL_NORM, hiddenSize);
  if (!config.tiedHead) shapes.set(HEAD, [vocabularySize, hiddenSize]);
  return shapes;
}

/** A weight by name; its absence is a mistake of this package. */
export function weightOf<Weight = Tensor>(weights: ReadonlyMap<string, Weight>, name: string): Weight {
  const weight = weights.get(name);
  if (weight === undefined) throw new Error(`No weight ${name}`);
  return weight;
}
