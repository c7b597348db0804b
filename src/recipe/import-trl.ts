/**
 * @file A configuration of TRL's trainers (DPOConfig, KTOConfig, SFTConfig as `trl dpo --config` takes them, with
 * accelerate's fields) as a recipe. Every field becomes a setting, needs none here, or has no equivalent and is listed with
 * what to do. None is skipped.
 */
import { z } from 'zod';
import { type Machine, machineOf } from './trl-accelerate.ts';
import { leftOver } from './trl-advice.ts';
import { Fields, refuse, type Unmatched } from './trl-fields.ts';
import { checkSftLoss, ktoObjective, objectiveOf } from './trl-losses.ts';

export const TRAINERS = ['dpo', 'kto', 'sft'] as const;
export type Trainer = (typeof TRAINERS)[number];

export interface ImportedRecipe {
  trainer: Trainer;
  /** As it is written in YAML. */
  recipe: Record<string, unknown>;
  unmatched: Unmatched[];
  /** Fields that need no setting: speed, memory, logging. */
  needless: string[];
}

export interface ImportOptions {
  /** The trainer; null: by the fields. @default null */
  trainer?: Trainer | null;
  /** The content of accelerate's configuration. @default none */
  accelerate?: unknown;
  /** Whether a path lies on this machine: everything else is a name on the Hub. */
  exists: (path: string) => boolean;
}

/** Converts a configuration. RecipeError TRL_CONFIG where it is none, TRL_NO_EQUIVALENT where its loss has none here. */
export function importTrl(config: unknown, { trainer = null, accelerate = {}, exists }: ImportOptions): ImportedRecipe {
  const fields = new Fields(config);
  const kind = trainer ?? trainerOf(fields);
  const unmatched: Unmatched[] = [];
  const machine = machineOf(accelerate, unmatched);
  const model =
    fields.text('model_name_or_path') ?? refuse('model_name_or_path', 'is missing: it names the model to start from');
  const revision = fields.text('model_revision') ?? fields.text('revision');
  const placed = exists(model)
    ? model
    : `hub:${model}${revision === null || revision === 'main' ? '' : `@${revision}`}`;
  const output = fields.text('output_dir');
  const recipe: Record<string, unknown> = {
    name: nameOf(fields.text('run_name') ?? output ?? kind),
    ...(output === null ? {} : { output }),
    seed: fields.number('seed') ?? 42,
    model: placed,
    ...trackOf(fields, unmatched),
    ...(kind === 'kto' ? { objective: ktoObjective(fields) } : {}),
    data: dataOf(fields, { exists, unmatched }),
    text: lengthsOf(fields, { kind, unmatched }),
    ...(kind === 'dpo' ? offline(fields, unmatched) : {}),
    training: trainingOf(fields, { kind, machine, unmatched }),
  };
  if (kind === 'sft') learnedParts(fields, unmatched);
  leftOver(fields, unmatched);
  return { trainer: kind, recipe, unmatched, needless: fields.needless };
}

/** Fields that one trainer has and the others have not. */
const TELLING: Readonly<Record<string, Trainer>> = {
  desirable_weight: 'kto',
  undesirable_weight: 'kto',
  assistant_only_loss: 'sft',
  completion_only_loss: 'sft',
  packing: 'sft',
  dataset_text_field: 'sft',
};

function trainerOf(fields: Fields): Trainer {
  const own = Object.entries(TELLING).find(([name]) => fields.has(name));
  return own?.[1] ?? 'dpo';
}

/** `stories-dpo` of `./out/Stories DPO`. */
function nameOf(text: string): string {
  const last = text.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const name = last
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'imported' : name;
}

const mixtureSchema = z.array(
  z.looseObject({ path: z.string(), split: z.string().optional(), fraction: z.number().nullish() }),
);

function dataOf(
  fields: Fields,
  { exists, unmatched }: { exists: (path: string) => boolean; unmatched: Unmatched[] },
): Record<string, unknown> {
  const split = fields.text('dataset_train_split') ?? 'train';
  const placeOf = (path: string, own = split): string => (exists(path) ? path : `hub:${path}:${own}`);
  const mixture = mixtureSchema.safeParse(fields.take('datasets') ?? []);
  if (!mixture.success) return refuse('datasets', 'is no list of data sets with a path each');
  const one = fields.text('dataset_name');
  if (mixture.data.length === 0)
    return { train: placeOf(one ?? refuse('dataset_name', 'is missing: it names the data to train on')) };
  if (one !== null) unmatched.push({ field: 'dataset_name', value: one, text: 'datasets is taken in its place' });
  const fractions: number[] = [];
  const train = mixture.data.map(({ path, split: own, fraction, ...others }, i) => {
    for (const [name, value] of Object.entries(others)) {
      const text = name === 'columns' ? 'use data.columns' : 'name the files in data.train: hub:owner/name:path';
      if (value !== null) unmatched.push({ field: `datasets.${i}.${name}`, value, text });
    }
    if (typeof fraction === 'number') fractions.push(fraction);
    return placeOf(path, own);
  });
  if (fractions.length === 0) return { train: train.length === 1 ? train[0] : train };
  if (fractions.length < train.length)
    return refuse('datasets', 'gives some data sets a fraction: give all or none one');
  const sum = fractions.reduce((total, fraction) => total + fraction, 0);
  return { train, shares: fractions.map((fraction) => fraction / sum) };
}

function lengthsOf(
  fields: Fields,
  { kind, unmatched }: { kind: Trainer; unmatched: Unmatched[] },
): Record<string, unknown> {
  const maxLength = fields.number('max_length') ?? 1024;
  const cut = fields.text('truncation_mode');
  if (cut !== null && (kind !== 'sft' || cut !== 'keep_start')) {
    const kept = kind === 'sft' ? 'a conversation' : 'a prompt that is too long keeps its end, a response';
    unmatched.push({ field: 'truncation_mode', value: cut, text: `${kept} keeps its beginning` });
  }
  // TRL has had no limit of its own for prompts since 1.0.
  const maxPromptLength = fields.number('max_prompt_length') ?? Math.floor(maxLength / 2);
  return kind === 'dpo' ? { maxLength, maxPromptLength } : { maxLength };
}

/** TRL learns all turns of a conversation, and a prompt's with its completion's, unless it is told otherwise. */
function learnedParts(fields: Fields, unmatched: Unmatched[]): void {
  checkSftLoss(fields);
  const assistantOnly = fields.flag('assistant_only_loss') ?? false;
  const completionOnly = fields.flag('completion_only_loss');
  if (completionOnly === false || (completionOnly === null && !assistantOnly)) {
    const field = completionOnly === false ? 'completion_only_loss' : 'assistant_only_loss';
    unmatched.push({ field, value: false, text: 'what the assistant says is learned, and nothing else' });
  } else if (assistantOnly) fields.needless.push('assistant_only_loss');
}

/** Settings of offline DPO: the data's own pairs once, against the model that training starts from. */
function offline(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  return {
    iterations: 1,
    update: 'keep',
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: objectiveOf(fields, unmatched),
  };
}

const LEARNING_RATES: Readonly<Record<Trainer, number>> = { dpo: 1e-6, kto: 1e-6, sft: 2e-5 };

function trainingOf(
  fields: Fields,
  { kind, machine, unmatched }: { kind: Trainer; machine: Machine; unmatched: Unmatched[] },
): Record<string, unknown> {
  const perDevice = fields.number('per_device_train_batch_size') ?? 8;
  const accumulated = fields.number('gradient_accumulation_steps') ?? machine.accumulationSteps ?? 1;
  return {
    batchSize: perDevice * accumulated * machine.processes,
    epochs: epochsOf(fields, unmatched),
    learningRate: fields.number('learning_rate') ?? LEARNING_RATES[kind],
    ...scheduleOf(fields, unmatched),
    weightDecay: fields.number('weight_decay') ?? 0,
    adamBeta1: fields.number('adam_beta1') ?? 0.9,
    adamBeta2: fields.number('adam_beta2') ?? 0.999,
    adamEpsilon: fields.number('adam_epsilon') ?? 1e-8,
    maxGradNorm: (fields.number('max_grad_norm') ?? 1) || null, // 0 clips nothing
    dtype: dtypeOf(fields, { machine, unmatched }),
    ...checkpointsOf(fields, unmatched),
    ...(machine.sharding === 'none' ? {} : { sharding: machine.sharding }),
    ...adapterOf(fields, unmatched),
  };
}

function epochsOf(fields: Fields, unmatched: Unmatched[]): number {
  const given = fields.number('num_train_epochs') ?? 3;
  const epochs = Math.max(1, Math.round(given));
  if (epochs !== given)
    unmatched.push({ field: 'num_train_epochs', value: given, text: `epochs are whole; the recipe has ${epochs}` });
  return epochs;
}

function checkpointsOf(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  const steps = fields.number('save_steps');
  if (steps === null) return {};
  if (steps >= 1) return { checkpointEverySteps: Math.round(steps) };
  unmatched.push({ field: 'save_steps', value: steps, text: 'set training.checkpointEverySteps to a number of steps' });
  return {};
}

function scheduleOf(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  const given = fields.text('lr_scheduler_type') ?? 'linear';
  const schedule = given === 'constant_with_warmup' ? 'constant' : given;
  const known = ['cosine', 'linear', 'constant'].includes(schedule);
  if (!known) unmatched.push({ field: 'lr_scheduler_type', value: given, text: 'the recipe has cosine' });
  const ratio = fields.number('warmup_ratio');
  // Since transformers 5 warmup_steps below 1 are a share.
  const steps = fields.number('warmup_steps') ?? 0;
  if (steps >= 1)
    unmatched.push({
      field: 'warmup_steps',
      value: steps,
      text: 'set training.warmupRatio to these steps as a share of all',
    });
  return { schedule: known ? schedule : 'cosine', warmupRatio: ratio ?? (steps < 1 ? steps : 0) };
}

/** TRL computes in bfloat16 unless it is told otherwise; what accelerate says counts only where both are switched off. */
function dtypeOf(fields: Fields, { machine, unmatched }: { machine: Machine; unmatched: Unmatched[] }): string {
  const isHalf = fields.flag('fp16') ?? false;
  const isBfloat = fields.flag('bf16') ?? !isHalf;
  const precision = isBfloat ? 'bf16' : isHalf ? 'fp16' : machine.precision;
  if (precision === 'fp16' || precision === 'fp8') {
    const field = isHalf ? 'fp16' : 'mixed_precision';
    const text = 'the recipe has bfloat16, which needs no loss scaling';
    unmatched.push({ field, value: isHalf ? true : precision, text });
  }
  const loaded = fields.text('dtype') ?? fields.text('torch_dtype');
  if (loaded !== null && !['auto', 'float32', 'bfloat16'].includes(loaded))
    unmatched.push({ field: 'dtype', value: loaded, text: 'master weights are always float32' });
  return precision === 'no' || precision === null ? 'float32' : 'bfloat16';
}

function adapterOf(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  const uses = fields.flag('use_peft') ?? false;
  const own = ['lora_r', 'lora_alpha', 'lora_dropout', 'lora_target_modules', 'use_rslora', 'lora_task_type'] as const;
  if (!uses) {
    for (const name of own) if (fields.take(name) !== undefined) fields.needless.push(name);
    return {};
  }
  fields.take('lora_task_type');
  const targets = fields.take('lora_target_modules') ?? 'all-linear';
  const dropout = fields.number('lora_dropout') ?? 0.05;
  if (dropout !== 0)
    unmatched.push({ field: 'lora_dropout', value: dropout, text: 'dropout is not computed; the recipe has 0' });
  return {
    adapter: {
      kind: 'lora',
      rank: fields.number('lora_r') ?? 16,
      alpha: fields.number('lora_alpha') ?? 32,
      targets: typeof targets === 'string' && targets !== 'all-linear' ? [targets] : targets,
      ...(fields.flag('use_rslora') === true ? { rankStabilised: true } : {}),
    },
  };
}

function trackOf(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  const given = fields.take('report_to');
  const names = (Array.isArray(given) ? given : given === undefined ? [] : [given]).map(String);
  const known = names.filter((name) => ['tensorboard', 'trackio', 'mlflow', 'wandb'].includes(name));
  for (const name of names) {
    if (known.includes(name) || name === 'none') continue;
    unmatched.push({ field: 'report_to', value: name, text: 'allowed are tensorboard, trackio, mlflow, wandb' });
  }
  return known.length === 0 ? {} : { track: known };
}
