/**
 * @file A model as llama.cpp knows it: the name of its architecture, its settings and the names of its tensors, as
 * llama.cpp's convert_hf_to_gguf.py writes them. A model that llama.cpp would compute otherwise is refused with the reason.
 */
import { ModelError } from '../errors.ts';
import type { ModelConfig, RopeConfig } from '../model/config.ts';
import { inverseFrequencies } from '../model/rope.ts';
import { biasName, blockNames, EMBEDDING, expectedWeights, FINAL_NORM, HEAD } from '../model/weights.ts';
import type { GgufMetadata, GgufValue } from './gguf.ts';

/** What is done to a weight on its way. */
export type WeightChange =
  | { kind: 'none' }
  /** Rows of queries or keys: rotary pairs that lie half a head apart here lie side by side in llama.cpp's `llama`. */
  | { kind: 'pair-rows'; heads: number }
  /** Gemma's norms multiply by one plus their weight; llama.cpp's by the weight. */
  | { kind: 'add-one' };

/** A tensor of the file and the weight that it comes from. */
export interface TensorSource {
  name: string;
  weight: string;
  shape: readonly number[];
  change: WeightChange;
}

/** A model as llama.cpp takes it. */
export interface LlamaCppModel {
  metadata: GgufMetadata;
  tensors: readonly TensorSource[];
  /** Divisors of the rotary frequencies (Llama 3.1), the tensor `rope_freqs.weight`; null where there are none. */
  ropeDivisors: Float32Array | null;
  /** Longest context in which llama.cpp computes the same, in tokens. */
  contextLength: number;
}

interface Architecture {
  name: string;
  rotaryPairs: 'adjacent' | 'halves';
  /** Every how many layers llama.cpp lets one see all tokens, the others a window; null where it knows no windows. */
  windowPeriod: number | null;
}

const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map([
  ['llama', { name: 'llama', rotaryPairs: 'adjacent', windowPeriod: null }],
  ['mistral', { name: 'llama', rotaryPairs: 'adjacent', windowPeriod: null }],
  ['qwen2', { name: 'qwen2', rotaryPairs: 'halves', windowPeriod: null }],
  ['qwen3', { name: 'qwen3', rotaryPairs: 'halves', windowPeriod: null }],
  ['phi3', { name: 'phi3', rotaryPairs: 'halves', windowPeriod: null }],
  ['olmo2', { name: 'olmo2', rotaryPairs: 'halves', windowPeriod: null }],
  ['gemma2', { name: 'gemma2', rotaryPairs: 'halves', windowPeriod: 2 }],
  ['gemma3_text', { name: 'gemma3', rotaryPairs: 'halves', windowPeriod: 6 }],
]);

function refuse(config: ModelConfig, reason: string): never {
  throw new ModelError('EXPORT_UNSUPPORTED', `Cannot export this ${config.family} model to GGUF: ${reason}`, {
    details: { family: config.family },
  });
}

/** The architecture, settings and tensors of a model. Throws ModelError EXPORT_UNSUPPORTED. */
export function llamaCppModel(config: ModelConfig): LlamaCppModel {
  const architecture = ARCHITECTURES.get(config.family);
  if (architecture === undefined) refuse(config, `known are ${[...ARCHITECTURES.keys()].join(', ')}`);
  if (Math.abs(config.attentionScale * Math.sqrt(config.headSize) - 1) > 1e-6) {
    refuse(
      config,
      `its attention scores are scaled by ${config.attentionScale}, llama.cpp's by 1 / sqrt(${config.headSize})`,
    );
  }
  const { window, contextLength } = windowOf(config, architecture);
  const rope = ropeSettings(config, architecture);
  const prefix = architecture.name;
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: architecture.name }],
    [`${prefix}.block_count`, { type: 'uint32', value: config.layers }],
    [`${prefix}.context_length`, { type: 'uint32', value: contextLength }],
    [`${prefix}.embedding_length`, { type: 'uint32', value: config.hiddenSize }],
    [`${prefix}.feed_forward_length`, { type: 'uint32', value: config.intermediateSize }],
    [`${prefix}.attention.head_count`, { type: 'uint32', value: config.heads }],
    [`${prefix}.attention.head_count_kv`, { type: 'uint32', value: config.keyValueHeads }],
    [`${prefix}.attention.key_length`, { type: 'uint32', value: config.headSize }],
    [`${prefix}.attention.value_length`, { type: 'uint32', value: config.headSize }],
    [`${prefix}.attention.layer_norm_rms_epsilon`, { type: 'float32', value: config.normEpsilon }],
    [`${prefix}.rope.dimension_count`, { type: 'uint32', value: config.headSize }],
    [`${prefix}.vocab_size`, { type: 'uint32', value: config.vocabularySize }],
    ...rope.settings.map(([key, value]): [string, GgufValue] => [`${prefix}.rope.${key}`, value]),
  ]);
  if (window > 0) metadata.set(`${prefix}.attention.sliding_window`, { type: 'uint32', value: window });
  if (config.attentionSoftCap > 0)
    metadata.set(`${prefix}.attn_logit_softcapping`, { type: 'float32', value: config.attentionSoftCap });
  if (config.logitSoftCap > 0)
    metadata.set(`${prefix}.final_logit_softcapping`, { type: 'float32', value: config.logitSoftCap });
  return { metadata, tensors: tensorSources(config, architecture), ropeDivisors: rope.divisors, contextLength };
}

/** The window that is written, and the context in which a model without one computes the same. */
function windowOf(
  config: ModelConfig,
  { windowPeriod: period }: Architecture,
): { window: number; contextLength: number } {
  const windows = config.layerAttention.map((layer) => layer.window).filter((window) => window > 0);
  if (period === null) {
    // llama.cpp sees all tokens in every layer: the same as long as the context is no longer than the window.
    return { window: 0, contextLength: Math.min(config.maxPositions, ...windows) };
  }
  config.layerAttention.forEach((layer, i) => {
    if (layer.window > 0 === i % period < period - 1) return;
    refuse(
      config,
      `layer ${i} ${layer.window > 0 ? 'has' : 'has no'} sliding window, llama.cpp counts in periods of ${period}`,
    );
  });
  return { window: windows[0] ?? 0, contextLength: config.maxPositions };
}

function ropeSettings(
  config: ModelConfig,
  architecture: Architecture,
): { settings: [string, GgufValue][]; divisors: Float32Array | null } {
  const roped = (window: 'all' | 'window'): RopeConfig[] => {
    const layers = config.layerAttention.filter((layer) => layer.window > 0 === (window === 'window'));
    return layers.flatMap((layer) => config.ropes[layer.rope] ?? []);
  };
  const windowed = architecture.windowPeriod === null ? [] : roped('window');
  const [local] = windowed;
  const global = architecture.windowPeriod === null ? config.ropes[0] : (roped('all')[0] ?? local);
  if (global === undefined) throw new Error('A model without rotary positions');
  if (architecture.windowPeriod === null && config.ropes.length > 1) refuse(config, 'its layers have several ropes');
  const settings: [string, GgufValue][] = [['freq_base', { type: 'float32', value: global.theta }]];
  if (local !== undefined) {
    if (local.kind !== 'default') refuse(config, `layers with a window have rope_type ${local.kind}, not default`);
    settings.push(['freq_base_swa', { type: 'float32', value: local.theta }]);
  }
  switch (global.kind) {
    case 'default':
      return { settings, divisors: null };
    case 'linear':
      settings.push(['scaling.type', { type: 'string', value: 'linear' }]);
      settings.push(['scaling.factor', { type: 'float32', value: global.factor }]);
      return { settings, divisors: null };
    case 'llama3': {
      if (architecture.name !== 'llama') refuse(config, 'rope_type is llama3, which llama.cpp knows of llama only');
      const plain = inverseFrequencies({ kind: 'default', theta: global.theta }, config.headSize);
      const scaled = inverseFrequencies(global, config.headSize);
      return { settings, divisors: plain.map((frequency, i) => frequency / (scaled[i] ?? Number.NaN)) };
    }
    case 'yarn':
    case 'longrope':
      return refuse(config, `rope_type is ${global.kind}, exported are default, linear and llama3`);
  }
}

function tensorSources(config: ModelConfig, architecture: Architecture): TensorSource[] {
  const shapes = expectedWeights(config);
  const names = new Map<string, string>([
    [EMBEDDING, 'token_embd.weight'],
    [FINAL_NORM, 'output_norm.weight'],
    [HEAD, 'output.weight'],
  ]);
  const heads = new Map<string, number>();
  for (let layer = 0; layer < config.layers; layer++) {
    const block = blockNames(config, layer);
    const put = (weight: string | null, name: string): void => {
      if (weight === null) return;
      names.set(weight, `blk.${layer}.${name}.weight`);
      names.set(biasName(weight), `blk.${layer}.${name}.bias`);
    };
    put(block.beforeAttention, 'attn_norm');
    put(block.afterAttention, 'post_attention_norm');
    put(block.beforeMlp, 'ffn_norm');
    put(block.afterMlp, 'post_ffw_norm');
    put(block.queryNorm, 'attn_q_norm');
    put(block.keyNorm, 'attn_k_norm');
    put(block.output, 'attn_output');
    put(block.down, 'ffn_down');
    if (block.queryKeyValue.kind === 'fused') put(block.queryKeyValue.queryKeyValue, 'attn_qkv');
    else {
      const { query, key, value } = block.queryKeyValue;
      put(query, 'attn_q');
      put(key, 'attn_k');
      put(value, 'attn_v');
      for (const weight of [query, biasName(query)]) heads.set(weight, config.heads);
      for (const weight of [key, biasName(key)]) heads.set(weight, config.keyValueHeads);
    }
    if (block.gateUp.kind === 'fused') put(block.gateUp.gateUp, 'ffn_up');
    else {
      put(block.gateUp.gate, 'ffn_gate');
      put(block.gateUp.up, 'ffn_up');
    }
  }
  const changeOf = (weight: string): WeightChange => {
    const count = heads.get(weight);
    if (count !== undefined && architecture.rotaryPairs === 'adjacent') return { kind: 'pair-rows', heads: count };
    const isNorm = weight.endsWith('norm.weight');
    return isNorm && config.normScale === 'one-plus-weight' ? { kind: 'add-one' } : { kind: 'none' };
  };
  return [...shapes].map(([weight, shape]) => {
    const name = names.get(weight);
    if (name === undefined) throw new Error(`No name of ${weight} in GGUF`);
    return { name, weight, shape, change: changeOf(weight) };
  });
}
