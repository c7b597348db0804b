/** @file What config.json files say, family by family, and what is refused with the field that is the reason. */
import { describe, expect, it } from 'vitest';
import { ModelError } from '../errors.ts';
import type { ModelConfig } from './config.ts';
import { normaliseConfig } from './read-config.ts';
import { weightInFile } from './weights.ts';

const sizes = {
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 64,
};
const read = (model_type: string, fields: Record<string, unknown> = {}): ModelConfig =>
  normaliseConfig({ model_type, ...sizes, ...fields }, 'config.json');
const windows = (config: ModelConfig): number[] => config.layerAttention.map(({ window }) => window);

describe('which layers slide', () => {
  it('all of a Mistral, by 4,096 tokens when the file says nothing and not at all when it says null', () => {
    expect(windows(read('mistral', { sliding_window: 7 }))).toEqual([7, 7, 7, 7]);
    expect(windows(read('mistral'))).toEqual([4096, 4096, 4096, 4096]);
    expect(windows(read('mistral', { sliding_window: null }))).toEqual([0, 0, 0, 0]);
  });

  it('those of a Qwen from max_window_layers on, if use_sliding_window says so', () => {
    const fields = { sliding_window: 7, max_window_layers: 3 };
    expect(windows(read('qwen2', fields))).toEqual([0, 0, 0, 0]);
    expect(windows(read('qwen2', { ...fields, use_sliding_window: true }))).toEqual([0, 0, 0, 7]);
    expect(windows(read('qwen3', { ...fields, use_sliding_window: true }))).toEqual([0, 0, 0, 7]);
  });

  it('every other one of a Gemma 2, five of six of a Gemma 3', () => {
    expect(windows(read('gemma2', { sliding_window: 7 }))).toEqual([7, 0, 7, 0]);
    const gemma3 = read('gemma3_text', { sliding_window: 7, num_hidden_layers: 7 });
    expect(windows(gemma3)).toEqual([7, 7, 7, 7, 7, 0, 7]);
    expect(gemma3.layerAttention.map(({ rope }) => rope)).toEqual([1, 1, 1, 1, 1, 0, 1]);
  });

  it('those that layer_types names, where it is there', () => {
    const layer_types = ['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention'];
    expect(windows(read('gemma2', { sliding_window: 7, layer_types }))).toEqual([0, 7, 7, 0]);
  });

  it('none of a Llama or an OLMo 2', () => {
    expect(windows(read('llama', { sliding_window: 7 }))).toEqual([0, 0, 0, 0]);
    expect(windows(read('olmo2'))).toEqual([0, 0, 0, 0]);
  });
});

describe('a Gemma 3 that sees images', () => {
  const text_config = { ...sizes, model_type: 'gemma3_text', head_dim: 8, sliding_window: 7 };
  const fields = { model_type: 'gemma3', eos_token_id: [1, 106], text_config, vision_config: { hidden_size: 8 } };

  it('is its text part, saved as a Gemma 3 for text', () => {
    const config = normaliseConfig(fields, 'config.json');
    expect(config).toMatchObject({ family: 'gemma3_text', part: 'text', hiddenSize: 32 });
    expect(config.raw.fields).toMatchObject({
      model_type: 'gemma3_text',
      architectures: ['Gemma3ForCausalLM'],
      eos_token_id: [1, 106],
    });
    expect(config.raw.fields).not.toHaveProperty('vision_config');
  });

  it('reads its weights under either prefix and leaves the eyes alone', () => {
    const config = normaliseConfig(fields, 'config.json');
    expect(weightInFile(config, 'language_model.model.norm.weight')).toBe('model.norm.weight');
    expect(weightInFile(config, 'model.language_model.norm.weight')).toBe('model.norm.weight');
    expect(weightInFile(config, 'vision_tower.embeddings.patch_embedding.bias')).toBeNull();
    expect(weightInFile(config, 'model.multi_modal_projector.mm_soft_emb_norm.weight')).toBeNull();
  });
});

describe('fields that a published file leaves out', () => {
  it('are those of transformers: the text part of gemma-3-4b', () => {
    const config = normaliseConfig(
      {
        model_type: 'gemma3_text',
        hidden_size: 2560,
        intermediate_size: 10_240,
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: 'linear' },
        sliding_window: 1024,
      },
      'config.json',
    );
    expect(config).toMatchObject({
      heads: 8,
      keyValueHeads: 4,
      headSize: 256,
      vocabularySize: 262_208,
      attentionScale: 1 / 16,
      activation: 'gelu-tanh',
      tiedHead: true,
      ropes: [
        { kind: 'linear', theta: 1_000_000, factor: 8 },
        { kind: 'default', theta: 10_000 },
      ],
    });
  });

  it('are those of transformers: the factor of LongRoPE', () => {
    const factors = [1, 1, 1, 1];
    const config = read('phi3', {
      max_position_embeddings: 131_072,
      original_max_position_embeddings: 4096,
      rope_scaling: { type: 'su', short_factor: factors, long_factor: factors },
    });
    const attentionFactor = Math.sqrt(1 + Math.log(32) / Math.log(4096));
    expect(config.ropes).toEqual([
      {
        kind: 'longrope',
        theta: 10_000,
        shortFactors: factors,
        longFactors: factors,
        originalMaxPositions: 4096,
        attentionFactor,
      },
    ]);
  });
});

const refusals: { what: string; type: string; fields: Record<string, unknown>; field: string }[] = [
  { what: 'a mixture of experts', type: 'mixtral', fields: { num_local_experts: 8 }, field: 'model_type' },
  { what: 'a mixture of experts', type: 'qwen3_moe', fields: { num_experts: 8 }, field: 'model_type' },
  { what: 'ALiBi', type: 'falcon', fields: { alibi: true }, field: 'model_type' },
  { what: 'images without text', type: 'gemma3', fields: {}, field: 'text_config' },
  { what: 'another activation', type: 'llama', fields: { hidden_act: 'gelu' }, field: 'hidden_act' },
  { what: 'another activation', type: 'gemma2', fields: { hidden_activation: 'gelu' }, field: 'hidden_activation' },
  { what: 'rotation of a part', type: 'phi3', fields: { partial_rotary_factor: 0.75 }, field: 'partial_rotary_factor' },
  {
    what: 'rotation of a part',
    type: 'phi3',
    fields: { rope_parameters: { partial_rotary_factor: 0.75 } },
    field: 'rope_parameters.partial_rotary_factor',
  },
  {
    what: 'quantised weights',
    type: 'qwen2',
    fields: { quantization_config: { quant_method: 'gptq' } },
    field: 'quantization_config',
  },
  {
    what: 'a rope that grows with the text',
    type: 'llama',
    fields: { rope_scaling: { type: 'dynamic', factor: 2 } },
    field: 'rope_scaling.type',
  },
  {
    what: 'YaRN without a factor',
    type: 'qwen2',
    fields: { rope_scaling: { rope_type: 'yarn' } },
    field: 'rope_scaling.factor',
  },
  {
    what: 'LongRoPE factors of another head size',
    type: 'phi3',
    fields: { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1, 1, 1, 1] } },
    field: 'rope_scaling.short_factor',
  },
  {
    what: 'YaRN of frequencies that are all alike',
    type: 'qwen2',
    fields: { rope_theta: 1, rope_scaling: { rope_type: 'yarn', factor: 2 } },
    field: 'rope_theta',
  },
  {
    what: 'LongRoPE from one token on',
    type: 'phi3',
    fields: {
      original_max_position_embeddings: 1,
      rope_scaling: { type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [1, 1, 1, 1] },
    },
    field: 'original_max_position_embeddings',
  },
  {
    what: 'one rope where a Gemma 3 has two',
    type: 'gemma3_text',
    fields: { rope_parameters: { rope_type: 'default', rope_theta: 10_000 } },
    field: 'rope_parameters',
  },
  {
    what: 'two lengths at which ropes change',
    type: 'gemma3_text',
    fields: { head_dim: 8, rope_scaling: { type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [1, 1, 1, 1] } },
    field: 'rope_scaling.type',
  },
  {
    what: 'a score cap that transformers does not apply',
    type: 'gemma3_text',
    fields: { attn_logit_softcapping: 50 },
    field: 'attn_logit_softcapping',
  },
  {
    what: 'attention to what comes later',
    type: 'gemma3_text',
    fields: { use_bidirectional_attention: true },
    field: 'use_bidirectional_attention',
  },
  {
    what: 'a kind of layer that is not attention over tokens',
    type: 'qwen3',
    fields: { layer_types: ['full_attention', 'linear_attention', 'full_attention', 'full_attention'] },
    field: 'layer_types',
  },
  {
    what: 'too few kinds of layers',
    type: 'gemma2',
    fields: { layer_types: ['full_attention'] },
    field: 'layer_types',
  },
  { what: 'a Mistral of unlike layers', type: 'mistral', fields: { layer_types: [] }, field: 'layer_types' },
  {
    what: 'sliding layers without a window',
    type: 'gemma2',
    fields: { sliding_window: null },
    field: 'sliding_window',
  },
  {
    what: 'heads that do not share evenly',
    type: 'olmo2',
    fields: { num_key_value_heads: 3 },
    field: 'num_key_value_heads',
  },
  { what: 'an odd head size', type: 'qwen3', fields: { head_dim: 7 }, field: 'head_dim' },
];

describe('what cannot be run exactly', () => {
  it('is refused before memory is asked for: a billion blocks', () => {
    expect(() => read('llama', { num_hidden_layers: 1e9 })).toThrow(
      expect.objectContaining({ code: 'MODEL_CONFIG', details: { file: 'config.json', field: 'num_hidden_layers' } }),
    );
  });

  it.each(refusals)('is refused: $what ($type, $field)', ({ type, fields, field }) => {
    try {
      read(type, fields);
    } catch (error) {
      expect(error).toBeInstanceOf(ModelError);
      expect((error as ModelError).details).toEqual({ file: 'config.json', field });
      expect((error as ModelError).message).toContain(`${field} is `);
      return;
    }
    throw new Error('The model was accepted');
  });
});
