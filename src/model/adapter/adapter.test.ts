import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readTensors, type StoredTensor, tensorOf } from '../../../test/support/changed-model.ts';
import { smallConfig } from '../../../test/support/small-model.ts';
import { HOSTILE_NAMES } from '../../files/hostile-names.testing.ts';
import { packageRoot } from '../../files/package-root.ts';
import { writeSafetensors } from '../../files/safetensors-write.ts';
import { narrow, reshape } from '../../torch/ops.ts';
import { scope, toFloat32Array } from '../../torch/tensor.ts';
import { loadModel } from '../load.ts';
import type { WeightInParts } from '../save.ts';
import { baseDirectory, namedFactors, withFactors } from './adapter.ts';
import { parseAdapterConfig } from './adapter-config.ts';
import { type Adapter, checkSameSettings, initialAdapter, loraScale, targetNames, targetShapes } from './lora.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-adapter-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixture = join(packageRoot, 'test', 'fixtures', 'peft', 'llama3');
const theirs = JSON.parse(readFileSync(join(fixture, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
let count = 0;

/** A copy of PEFT's adapter whose configuration is changed. */
function adapterWith(changes: Record<string, unknown>): string {
  const copy = join(folder, String(count++));
  cpSync(fixture, copy, { recursive: true });
  const base = join(packageRoot, String(theirs.base_model_name_or_path));
  const config = { ...theirs, base_model_name_or_path: base, ...changes };
  writeFileSync(join(copy, 'adapter_config.json'), JSON.stringify(config));
  return copy;
}

test('loadModel() opens an adapter folder as its base and the adapter', () => {
  const model = loadModel(adapterWith({}));
  expect(model.adapter?.factors.size).toBe(14);
  expect(model.weights.get('model.layers.0.self_attn.q_proj.weight')?.shape).toEqual([32, 32]);
  model.dispose();
  expect(model.adapter?.factors.get('model.layers.0.self_attn.q_proj.weight')?.a_RI.isFreed).toBe(true);
});

test('withFactors() puts an adapter together from what ranks wrote of its factors', () => {
  const settings = { rank: 2, alpha: 4, targets: 'all-linear', rankStabilised: false } as const;
  scope('two adapters', () => {
    const start = (seed: number) => initialAdapter(smallConfig(), { settings, seed, device: 'cpu' });
    const [written, other] = [start(1), start(2)];
    const parts = [...namedFactors(written)].map(([name, factor]): [string, WeightInParts] => {
      const vector = reshape(factor, [-1]);
      const slices = [narrow(vector, 0, 0, 5), narrow(vector, 0, 5, vector.size - 5)];
      return [name, { shape: factor.shape, parts: slices }];
    });
    const numbers = (adapter: Adapter) =>
      [...namedFactors(adapter)].map(([name, factor]) => [name, factor.shape, toFloat32Array(factor)]);
    expect(numbers(other)).not.toEqual(numbers(written));
    expect(numbers(withFactors(other, new Map(parts)))).toEqual(numbers(written));
  });
});

test.each([
  ['peft_type', 'IA3', 'supported is "LORA"'],
  ['task_type', 'SEQ_CLS', 'supported is "CAUSAL_LM"'],
  ['bias', 'all', 'supported is "none"'],
  ['init_lora_weights', 'pissa', 'supported is true or false or "gaussian" or "eva" or "orthogonal"'],
  ['use_dora', true, 'supported is off: only plain and rank-stabilised LoRA'],
  ['modules_to_save', ['lm_head'], 'supported is off: only plain and rank-stabilised LoRA'],
  ['rank_pattern', { q_proj: 8 }, 'supported is off: only plain and rank-stabilised LoRA'],
  ['alpha_pattern', { q_proj: 8 }, 'supported is off: only plain and rank-stabilised LoRA'],
  ['layer_replication', [[0, 2]], 'supported is off: only plain and rank-stabilised LoRA'],
  ['lora_bias', true, 'supported is off: only plain and rank-stabilised LoRA'],
  ['a_setting_of_next_year', 3, 'supported is off: only plain and rank-stabilised LoRA'],
])('loadModel() refuses an adapter whose %s is %j', (field, value, says) => {
  const path = adapterWith({ [field]: value });
  const refusal = expect.objectContaining({
    code: 'ADAPTER_UNSUPPORTED',
    message: expect.stringContaining(
      `${join(path, 'adapter_config.json')}: ${field} is ${JSON.stringify(value)}, ${says}`,
    ),
  });
  expect(() => loadModel(path)).toThrow(refusal);
});

test.each([
  ['r', 0],
  ['lora_alpha', 'many'],
  ['base_model_name_or_path', ''],
  ['lora_dropout', 2],
])('loadModel() names the field of an adapter whose %s is %j', (field, value) => {
  const path = adapterWith({ [field]: value });
  expect(() => loadModel(path)).toThrow(`Cannot read ${join(path, 'adapter_config.json')}: field ${field}`);
});

test('parseAdapterConfig() takes what older versions of PEFT wrote', () => {
  const old = {
    base_model_name_or_path: 'base',
    bias: 'none',
    lora_alpha: 16,
    lora_dropout: 0.05,
    peft_type: 'LORA',
    r: 8,
  };
  const value = {
    ...old,
    fan_in_fan_out: false,
    modules_to_save: null,
    target_modules: 'q_proj|v_proj',
    task_type: 'CAUSAL_LM',
  };
  expect(parseAdapterConfig(value, 'adapter_config.json')).toEqual({
    rank: 8,
    alpha: 16,
    rankStabilised: false,
    dropout: 0.05,
    base: 'base',
    revision: null,
  });
});

/** Settings as PEFT 0.19 writes them for a LoraConfig without a task_type. */
const WITHOUT_TASK_TYPE = {
  task_type: null,
  auto_mapping: { base_model_class: 'LlamaForCausalLM', parent_library: 'transformers.models.llama.modeling_llama' },
};

test.each([
  ['no task_type', WITHOUT_TASK_TYPE],
  ['no task_type in an older form', { task_type: undefined, auto_mapping: null }],
  ['every optional setting null', { bias: null, use_rslora: null, lora_dropout: null, init_lora_weights: null }],
  ['a start that leaves the base as it is', { init_lora_weights: 'eva', eva_config: { rho: 2, tau: 0.99 } }],
  ['settings that PEFT ignores here', { fan_in_fan_out: true, ensure_weight_tying: true }],
])('loadModel() reads an adapter with %s as what it is, plain LoRA', (_, changes) => {
  const factorsOf = (path: string): number[][] => {
    const { adapter, dispose } = loadModel(path);
    const numbers = [...(adapter?.factors.values() ?? [])].map(({ a_RI }) => Array.from(toFloat32Array(a_RI)));
    dispose();
    return [[adapter?.scale ?? Number.NaN], ...numbers];
  };
  expect(factorsOf(adapterWith(changes))).toEqual(factorsOf(adapterWith({})));
});

test("parseAdapterConfig() gives absent settings the values of PEFT's LoraConfig", () => {
  const value = { peft_type: 'LORA', base_model_name_or_path: 'base' };
  expect(parseAdapterConfig(value, 'adapter_config.json')).toMatchObject({ rank: 8, alpha: 8, rankStabilised: false });
});

test('loadModel() says what to do about an adapter that names no base', () => {
  expect(() => loadModel(adapterWith({ base_model_name_or_path: null }))).toThrow(
    'base_model_name_or_path is not set: set it to the folder of the base model',
  );
});

/** A copy of PEFT's adapter with one more tensor in its file. */
function adapterWithTensor(name: string, change: (embedding: StoredTensor) => StoredTensor): string {
  const path = adapterWith({});
  const file = join(path, 'adapter_model.safetensors');
  const base = readTensors(join(packageRoot, String(theirs.base_model_name_or_path), 'model.safetensors'));
  const tensors = readTensors(file).set(name, change(tensorOf(base, 'model.embed_tokens.weight')));
  writeSafetensors(
    file,
    [...tensors].map(([each, tensor]) => ({ name: each, ...tensor })),
  );
  return path;
}

test("loadModel() passes over a whole embedding beside the factors that equals the base's", () => {
  const model = loadModel(adapterWithTensor('base_model.model.model.embed_tokens.weight', (own) => own));
  expect(model.adapter?.factors.size).toBe(14);
  model.dispose();
});

const zeros = ({ dtype, shape, bytes }: StoredTensor): StoredTensor => ({
  dtype,
  shape,
  bytes: new Uint8Array(bytes.length),
});
const oneRowLess = ({ dtype, shape: [rows = 0, columns = 0], bytes }: StoredTensor): StoredTensor => ({
  dtype,
  shape: [rows - 1, columns],
  bytes: bytes.subarray(0, (bytes.length / rows) * (rows - 1)),
});
const few = (): StoredTensor => ({ dtype: 'F32', shape: [4], bytes: new Uint8Array(16) });

test.each([
  ['model.embed_tokens.weight', zeros, "is a whole embed_tokens that differs from the base's (save_embedding_layers"],
  ['lm_head.weight', zeros, "is a whole lm_head that differs from the base's (save_embedding_layers"],
  ['model.embed_tokens.weight', oneRowLess, 'is a whole embed_tokens of shape [127,32] where the base has [128,32]'],
  ['model.embed_tokens.lora_embedding_A', few, 'belongs to LoRA on an embedding'],
  ['lm_head.lora_A.weight', few, 'belongs to LoRA on the head'],
  ['model.layers.0.self_attn.q_proj.lora_magnitude_vector', few, 'belongs to DoRA'],
  ['model.layers.0.self_attn.q_proj.bias', few, 'is a bias that was trained with the adapter'],
  ['model.layers.0.self_attn.q_proj.lora_A.default.weight', few, 'has no place in a LoRA adapter'],
])('loadModel() refuses %s beside the factors, and says why', (name, change, says) => {
  const path = adapterWithTensor(`base_model.model.${name}`, change);
  expect(() => loadModel(path)).toThrow(
    expect.objectContaining({
      code: 'ADAPTER_WEIGHTS',
      message: expect.stringContaining(`tensor base_model.model.${name} ${says}`),
    }),
  );
});

test('loadModel() refuses an adapter of another base, naming the tensor or the shape', () => {
  const wide = join(packageRoot, 'test', 'fixtures', 'models', 'wide-heads');
  expect(() => loadModel(adapterWith({ base_model_name_or_path: wide }))).toThrow(
    /adapter_model.safetensors: tensor base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_B\.weight has shape \[32,4\], adapter_config.json and the base model asks for \[48,4\]/,
  );
  expect(() => loadModel(adapterWith({ r: 8 }))).toThrow('has shape [4,32]');
});

test('baseDirectory() says what to mend when there is no base, or the base is an adapter', () => {
  expect(() => baseDirectory(adapterWith({ base_model_name_or_path: '/nowhere/model' }))).toThrow(
    'is "/nowhere/model", and there is no model folder of that name: set it to the folder of the base model',
  );
  expect(() => baseDirectory(adapterWith({ base_model_name_or_path: adapterWith({}) }))).toThrow(
    'which is an adapter itself',
  );
});

const config = smallConfig();

test('targetShapes() means every matrix of the blocks by all-linear, and no other', () => {
  const shapes = targetShapes(config, 'all-linear');
  expect(shapes.size).toBe(14);
  expect(shapes.get('model.layers.1.mlp.down_proj.weight')).toEqual([32, 56]);
});

test('targetShapes() takes names of modules, alone or with what is before them', () => {
  expect([...targetShapes(config, ['q_proj', 'layers.1.mlp.up_proj']).keys()]).toEqual([
    'model.layers.0.self_attn.q_proj.weight',
    'model.layers.1.self_attn.q_proj.weight',
    'model.layers.1.mlp.up_proj.weight',
  ]);
});

test.each(['proj', 'lm_head', 'embed_tokens', 'input_layernorm', 'qkv_proj'])(
  'targetShapes() refuses %s and lists what is there',
  (target) => {
    expect(() => targetShapes(config, ['q_proj', target])).toThrow(
      `Cannot put an adapter on "${target}": the model has no such matrix in its blocks: allowed are all-linear or names among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj`,
    );
  },
);

test('targetNames() is short where a name means these matrices only', () => {
  const weights = [...targetShapes(config, ['q_proj', 'layers.1.mlp.up_proj']).keys()];
  expect(targetNames(config, weights)).toEqual(['q_proj', 'model.layers.1.mlp.up_proj']);
});

test('loraScale() divides by the rank, or rank-stabilised by its root', () => {
  expect(loraScale({ rank: 16, alpha: 32, rankStabilised: false })).toBe(2);
  expect(loraScale({ rank: 16, alpha: 32, rankStabilised: true })).toBe(8);
});

const settings = { rank: 4, alpha: 8, rankStabilised: false, targets: ['v_proj'] };

test('initialAdapter() has B = 0 and A within 1 / sqrt(inputs), by the seed alone', () => {
  scope('test', () => {
    const values = (seed: number) =>
      [...initialAdapter(config, { settings, seed }).factors.values()].map(({ a_RI, b_OR }) => ({
        a: Array.from(toFloat32Array(a_RI)),
        b: Array.from(toFloat32Array(b_OR)),
      }));
    const [first, second] = values(1);
    expect(first?.b.every((value) => Object.is(value, 0))).toBe(true);
    const bound = 1 / Math.sqrt(config.hiddenSize);
    expect(first?.a.every((value) => Math.abs(value) <= bound)).toBe(true);
    expect(Math.max(...(first?.a ?? []))).toBeGreaterThan(0.9 * bound);
    expect(first?.a).not.toEqual(second?.a);
    expect(values(1)).toEqual([first, second]);
    expect(values(2)[0]?.a).not.toEqual(first?.a);
  });
});

test('checkSameSettings() says in what an adapter differs from what a recipe asks for', () => {
  scope('test', () => {
    const adapter = initialAdapter(config, { settings, seed: 1 });
    checkSameSettings(adapter, { config, settings });
    expect(() =>
      checkSameSettings(adapter, { config, settings: { ...settings, rank: 8, targets: 'all-linear' } }),
    ).toThrow(
      'Cannot train the adapter further: it has rank 4, not 8; targets v_proj: set training.adapter to what it has',
    );
  });
});

test('baseDirectory() follows no hostile name: what an adapter names must be a model folder', () => {
  const copy = adapterWith({});
  for (const name of HOSTILE_NAMES) {
    writeFileSync(join(copy, 'adapter_config.json'), JSON.stringify({ ...theirs, base_model_name_or_path: name }));
    expect(() => baseDirectory(copy), JSON.stringify(name)).toThrow(expect.objectContaining({ name: 'ModelError' }));
  }
});
