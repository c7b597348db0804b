import { describe, expect, it } from 'vitest';
import { importTrl } from './import-trl.ts';
import { parseRecipe, parseSftRecipe } from './load.ts';

const exists = (): boolean => false;
const MINIMAL = { model_name_or_path: 'Qwen/Qwen3-0.6B', dataset_name: 'trl-lib/ultrafeedback_binarized' };

describe("importing TRL's configurations", () => {
  it('DPO becomes a recipe that the loader takes, with batches of all processes together', () => {
    const config = {
      ...MINIMAL,
      output_dir: './out/Stories DPO',
      per_device_train_batch_size: 4,
      gradient_accumulation_steps: 8,
      learning_rate: '5.0e-7',
      lr_scheduler_type: 'cosine',
      warmup_ratio: 0.1,
      num_train_epochs: 1,
      beta: 0.05,
      label_smoothing: 0.1,
      bf16: true,
      report_to: ['tensorboard', 'clearml'],
    };
    const accelerate = { num_processes: 2, mixed_precision: 'bf16', distributed_type: 'DEEPSPEED' };
    const { trainer, recipe, unmatched } = importTrl(config, { accelerate, exists });
    expect(trainer).toBe('dpo');
    const parsed = parseRecipe(recipe);
    expect(parsed).toMatchObject({
      name: 'stories-dpo',
      model: 'hub:Qwen/Qwen3-0.6B',
      data: { train: ['hub:trl-lib/ultrafeedback_binarized:train'] },
      update: 'keep',
      iterations: 1,
      objective: { preference: { kind: 'dpo', beta: 0.05, labelSmoothing: 0.1 }, exploration: { kind: 'none' } },
      training: { batchSize: 64, learningRate: 5e-7, schedule: 'cosine', warmupRatio: 0.1, dtype: 'bfloat16' },
      track: ['tensorboard'],
    });
    expect(unmatched.map(({ field }) => field)).toEqual(['distributed_type', 'num_processes', 'report_to']);
  });

  it("takes TRL's defaults where nothing is said", () => {
    const { recipe } = importTrl(MINIMAL, { exists });
    expect(recipe.training).toMatchObject({ batchSize: 8, epochs: 3, learningRate: 1e-6, schedule: 'linear' });
    expect(recipe.objective).toMatchObject({ preference: { kind: 'dpo', beta: 0.1 } });
  });

  it('KTO is known by its weights and becomes a recipe of labels', () => {
    const { trainer, recipe } = importTrl(
      { ...MINIMAL, desirable_weight: 1.2, loss_type: 'apo_zero_unpaired' },
      { exists },
    );
    expect(trainer).toBe('kto');
    expect(parseSftRecipe(recipe).objective).toEqual({
      kind: 'kto',
      beta: 0.1,
      desirableWeight: 1.2,
      undesirableWeight: 1,
      baseline: 'none',
    });
  });

  it.each([
    [{ loss_type: ['sigmoid', 'sft'], loss_weights: [1, 0.2] }, { kind: 'dpo', beta: 0.1 }, 0.2],
    [{ loss_type: ['ipo', 'sft'] }, { kind: 'ipo', beta: 0.1 }, 1],
    [{ loss_type: 'sigmoid', rpo_alpha: 0.5 }, { kind: 'dpo', beta: 0.1 }, 0.5],
    [{ loss_type: 'kto_pair', beta: 0.2 }, { kind: 'kto', beta: 0.2 }, 0],
  ])('%o becomes the loss on a pair with the weight of the chosen likelihood', (config, preference, likelihood) => {
    const { recipe, unmatched } = importTrl({ ...MINIMAL, ...config }, { exists });
    expect(parseRecipe(recipe).objective).toMatchObject({ preference, chosenLikelihood: likelihood });
    expect(unmatched).toEqual([]);
  });

  it('weights of losses are taken relative to that of the loss on a pair, and that is said', () => {
    const config = { ...MINIMAL, loss_type: ['sft', 'sigmoid'], loss_weights: [1, 2] };
    const { recipe, unmatched } = importTrl(config, { exists });
    expect(recipe.objective).toMatchObject({ chosenLikelihood: 0.5 });
    expect(unmatched.map(({ field }) => field)).toEqual(['loss_weights']);
  });

  it('fields that change the loss are listed, those that change nothing are needless', () => {
    const config = { ...MINIMAL, f_divergence_type: 'js_divergence', use_weighting: true, ld_alpha: 0.5 };
    const { unmatched } = importTrl(config, { exists });
    expect(unmatched.map(({ field }) => field)).toEqual(['f_divergence_type', 'use_weighting', 'ld_alpha']);
    const plain = importTrl({ ...MINIMAL, f_divergence_type: 'reverse_kl', use_dora: false }, { exists });
    expect(plain).toMatchObject({ unmatched: [], needless: ['f_divergence_type', 'use_dora'] });
  });

  it('an adapter keeps its matrices, and what of it cannot be trained is listed', () => {
    const config = {
      ...MINIMAL,
      packing: true,
      use_peft: true,
      lora_r: 8,
      lora_target_modules: ['q_proj'],
      use_dora: true,
    };
    const { recipe, unmatched } = importTrl(config, { exists });
    const { adapter } = parseSftRecipe(recipe).training;
    expect(adapter).toMatchObject({ kind: 'lora', rank: 8, alpha: 32, targets: ['q_proj'] });
    expect(unmatched.map(({ field }) => field)).toEqual(['lora_dropout', 'assistant_only_loss', 'packing', 'use_dora']);
  });

  it('every field is a setting, needs none, or is listed, with the name that may have been meant', () => {
    const config = { ...MINIMAL, gradient_checkpointing: true, push_to_hub: true, learning_rat: 1, max_steps: 10 };
    const { unmatched, needless } = importTrl(config, { exists });
    expect(needless).toEqual(['gradient_checkpointing']);
    expect(unmatched).toEqual([
      { field: 'push_to_hub', value: true, text: expect.stringContaining('selm push') as string },
      { field: 'learning_rat', value: 1, text: 'it is not known here: did you mean learning_rate' },
      { field: 'max_steps', value: 10, text: expect.stringContaining('data.limit') as string },
    ]);
  });

  it('files on this machine are paths, and several data sets stay in their order', () => {
    const config = {
      model_name_or_path: './model',
      datasets: [{ path: 'a/b', split: 'dev' }, { path: './rows.jsonl' }],
    };
    const { recipe } = importTrl(config, { exists: (path) => path.startsWith('./') });
    expect(recipe).toMatchObject({ model: './model', data: { train: ['hub:a/b:dev', './rows.jsonl'] } });
  });

  it('fractions of a mixture become shares, and what else a data set says is listed', () => {
    const datasets = [
      { path: 'a/b', fraction: 3 },
      { path: 'c/d', fraction: 1, columns: ['prompt'] },
    ];
    const { recipe, unmatched } = importTrl({ model_name_or_path: 'm', datasets }, { exists });
    expect(recipe.data).toEqual({ train: ['hub:a/b:train', 'hub:c/d:train'], shares: [0.75, 0.25] });
    expect(unmatched.map(({ field }) => field)).toEqual(['datasets.1.columns']);
  });

  it('settings that the recipe has only nearly are listed with what it has', () => {
    const config = { ...MINIMAL, num_train_epochs: 0.5, save_steps: 0.1, optim: 'adafactor', max_grad_norm: 0 };
    const { recipe, unmatched } = importTrl(config, { exists });
    expect(parseRecipe(recipe).training).toMatchObject({ epochs: 1, maxGradNorm: null });
    expect(unmatched.map(({ field }) => field)).toEqual(['num_train_epochs', 'save_steps', 'optim']);
  });

  it.each([
    [{ distributed_type: 'DEEPSPEED', deepspeed_config: { zero_stage: 2 } }, 'optimiser'],
    [{ distributed_type: 'DEEPSPEED', deepspeed_config: { zero_stage: 3 } }, 'full'],
    [{ distributed_type: 'FSDP', fsdp_config: { fsdp_version: 2 } }, 'full'],
    [{ distributed_type: 'MULTI_GPU' }, 'none'],
  ])('accelerate that says %o: ranks share %s', (accelerate, sharding) => {
    const { recipe, unmatched } = importTrl(MINIMAL, { accelerate, exists });
    expect(parseRecipe(recipe).training.sharding).toBe(sharding);
    expect(unmatched).toEqual([]);
  });

  it.each([
    ['a list', [], 'TRL_CONFIG'],
    ['no model', { dataset_name: 'a/b' }, 'TRL_CONFIG'],
    ['no data', { model_name_or_path: 'a/b' }, 'TRL_CONFIG'],
    ['a text for a number', { ...MINIMAL, learning_rate: 'fast' }, 'TRL_CONFIG'],
    ['another loss', { ...MINIMAL, loss_type: 'discopop' }, 'TRL_NO_EQUIVALENT'],
    ['two losses on a pair', { ...MINIMAL, loss_type: ['sigmoid', 'hinge'] }, 'TRL_NO_EQUIVALENT'],
    ['a loss of SFT on other weights of tokens', { ...MINIMAL, packing: true, loss_type: 'dft' }, 'TRL_NO_EQUIVALENT'],
    [
      'a fraction of one data set of two',
      { ...MINIMAL, datasets: [{ path: 'a', fraction: 1 }, { path: 'b' }] },
      'TRL_CONFIG',
    ],
    ['weights of other losses', { ...MINIMAL, loss_type: ['sigmoid', 'sft'], loss_weights: [1] }, 'TRL_CONFIG'],
  ])('%s is refused', (_, config, code) => {
    expect(() => importTrl(config, { exists })).toThrow(expect.objectContaining({ code }));
  });
});
