/**
 * @file A configuration of TRL's trainers (DPOConfig, KTOConfig, SFTConfig as `trl dpo --config` takes them, with accelerate's
 * fields) as a recipe. Every field has one of three fates: it becomes a setting, it needs none here, or it has no equivalent
 * and is listed with what to do. Nothing is passed over.
 */
import { z } from 'zod';
import { RecipeError, shownValue } from '../errors.ts';
import { nearest } from './nearest.ts';

export const TRAINERS = ['dpo', 'kto', 'sft'] as const;
export type Trainer = (typeof TRAINERS)[number];

/** A field without an equivalent: what the recipe does instead, or what the user can do. */
export interface Unmatched {
  field: string;
  value: unknown;
  text: string;
}

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
  const machine = acceleratorOf(accelerate, unmatched);
  const model =
    fields.text('model_name_or_path') ?? refuse('model_name_or_path', 'is missing: it is the model to start from');
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
    data: dataOf(fields, exists),
    text: lengthsOf(fields, kind),
    ...(kind === 'dpo' ? offline(fields) : {}),
    training: trainingOf(fields, { kind, machine, unmatched }),
  };
  leftOver(fields, unmatched);
  return { trainer: kind, recipe, unmatched, needless: fields.needless };
}

/** The fields of a configuration. What is asked for is taken; what nobody asks for is left over. */
class Fields {
  readonly #values: Map<string, unknown>;
  readonly needless: string[] = [];

  constructor(config: unknown) {
    const parsed = z.record(z.string(), z.unknown()).safeParse(config);
    if (!parsed.success) {
      throw new RecipeError(
        'TRL_CONFIG',
        'Cannot import the configuration: it is not a map of settings: give the YAML that `trl dpo --config` takes',
      );
    }
    this.#values = new Map(Object.entries(parsed.data).filter(([, value]) => value !== null));
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }
  take(name: string): unknown {
    const value = this.#values.get(name);
    this.#values.delete(name);
    return value;
  }
  text(name: string): string | null {
    return this.#typed(name, z.string(), 'a text');
  }
  number(name: string): number | null {
    // YAML 1.1 reads 1e-6 as a text, and so do configurations that were written for it.
    return this.#typed(name, z.coerce.number(), 'a number');
  }
  flag(name: string): boolean | null {
    return this.#typed(name, z.boolean(), 'true or false');
  }
  #typed<T>(name: string, schema: z.ZodType<T>, allowed: string): T | null {
    if (!this.has(name)) return null;
    const value = this.take(name);
    const parsed = schema.safeParse(value);
    return parsed.success ? parsed.data : refuse(name, `is ${shownValue(value, 80)}: allowed is ${allowed}`);
  }
  rest(): [string, unknown][] {
    return [...this.#values];
  }
}

function refuse(field: string, problem: string): never {
  throw new RecipeError('TRL_CONFIG', `Cannot import the configuration: ${field} ${problem}`, { details: { field } });
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

function dataOf(fields: Fields, exists: (path: string) => boolean): Record<string, unknown> {
  const split = fields.text('dataset_train_split') ?? 'train';
  const placeOf = (path: string, own = split): string => (exists(path) ? path : `hub:${path}:${own}`);
  const mixture = z
    .array(z.object({ path: z.string(), split: z.string().optional(), data_files: z.unknown().optional() }))
    .optional()
    .safeParse(fields.take('datasets'));
  if (!mixture.success) refuse('datasets', 'is no list of data sets with a path each');
  const several = mixture.data?.map(({ path, split: own }) => placeOf(path, own));
  const one = fields.text('dataset_name');
  if (several === undefined && one === null) refuse('dataset_name', 'is missing: it is the data to train on');
  const train = several ?? [placeOf(one ?? '')];
  return { train: train.length === 1 ? train[0] : train };
}

function lengthsOf(fields: Fields, kind: Trainer): Record<string, unknown> {
  const maxLength = fields.number('max_length') ?? 1024;
  // TRL has had no limit of its own for prompts since 1.0.
  const maxPromptLength = fields.number('max_prompt_length') ?? Math.floor(maxLength / 2);
  return kind === 'dpo' ? { maxLength, maxPromptLength } : { maxLength };
}

/** Settings of offline DPO: the data's own pairs once, against the model that training starts from. */
function offline(fields: Fields): Record<string, unknown> {
  return {
    iterations: 1,
    update: 'keep',
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: { preference: preferenceOf(fields), exploration: { kind: 'none' } },
  };
}

function preferenceOf(fields: Fields): Record<string, unknown> {
  const beta = fields.number('beta') ?? 0.1;
  const given = fields.take('loss_type') ?? 'sigmoid';
  const kinds = Array.isArray(given) ? given.map(String) : [String(given)];
  const [kind] = kinds;
  const smoothing = fields.number('label_smoothing') ?? 0;
  if (kinds.length === 1) {
    switch (kind) {
      case 'sigmoid':
        return { kind: 'dpo', beta, ...(smoothing === 0 ? {} : { labelSmoothing: smoothing }) };
      case 'hinge':
      case 'ipo':
        return { kind, beta };
      case 'sppo_hard':
        return { kind: 'sppo', beta, targets: 'hard' };
    }
  }
  throw new RecipeError(
    'TRL_NO_EQUIVALENT',
    `Cannot import the configuration: loss_type ${kinds.join(', ')} has no equivalent: allowed are sigmoid, hinge, ipo, sppo_hard; change it, or write the objective by docs/objectives.md`,
    { details: { field: 'loss_type', value: kinds } },
  );
}

function ktoObjective(fields: Fields): Record<string, unknown> {
  const loss = fields.text('loss_type') ?? 'kto';
  if (loss !== 'kto' && loss !== 'apo_zero_unpaired') {
    throw new RecipeError(
      'TRL_NO_EQUIVALENT',
      `Cannot import the configuration: loss_type ${loss} of KTO has no equivalent: allowed are kto, apo_zero_unpaired`,
      { details: { field: 'loss_type', value: loss } },
    );
  }
  return {
    kind: 'kto',
    beta: fields.number('beta') ?? 0.1,
    desirableWeight: fields.number('desirable_weight') ?? 1,
    undesirableWeight: fields.number('undesirable_weight') ?? 1,
    ...(loss === 'kto' ? {} : { baseline: 'none' }),
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
    epochs: Math.max(1, Math.round(fields.number('num_train_epochs') ?? (kind === 'sft' ? 1 : 3))),
    learningRate: fields.number('learning_rate') ?? LEARNING_RATES[kind],
    ...scheduleOf(fields, unmatched),
    weightDecay: fields.number('weight_decay') ?? 0,
    adamBeta1: fields.number('adam_beta1') ?? 0.9,
    adamBeta2: fields.number('adam_beta2') ?? 0.999,
    adamEpsilon: fields.number('adam_epsilon') ?? 1e-8,
    maxGradNorm: fields.number('max_grad_norm') ?? 1,
    dtype: dtypeOf(fields, { machine, unmatched }),
    ...(fields.has('save_steps')
      ? { checkpointEverySteps: Math.max(1, Math.round(fields.number('save_steps') ?? 1)) }
      : {}),
    ...adapterOf(fields, unmatched),
  };
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

function dtypeOf(fields: Fields, { machine, unmatched }: { machine: Machine; unmatched: Unmatched[] }): string {
  const half = fields.flag('fp16') ?? machine.precision === 'fp16';
  if (half)
    unmatched.push({ field: 'fp16', value: true, text: 'the recipe has bfloat16, which needs no loss scaling' });
  const bfloat = fields.flag('bf16') ?? machine.precision !== 'no';
  const loaded = fields.text('dtype') ?? fields.text('torch_dtype');
  if (loaded !== null && !['auto', 'float32', 'bfloat16'].includes(loaded))
    unmatched.push({ field: 'dtype', value: loaded, text: 'master weights are always float32' });
  return half || bfloat ? 'bfloat16' : 'float32';
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

/** What accelerate says of the machine. */
interface Machine {
  processes: number;
  precision: string | null;
  accumulationSteps: number | null;
}

const acceleratorSchema = z.looseObject({
  num_processes: z.coerce.number().int().min(1).default(1),
  mixed_precision: z.string().nullable().default(null),
  distributed_type: z.string().default('NO'),
  deepspeed_config: z
    .looseObject({ gradient_accumulation_steps: z.unknown().optional(), zero_stage: z.unknown().optional() })
    .optional(),
});

function acceleratorOf(config: unknown, unmatched: Unmatched[]): Machine {
  const parsed = acceleratorSchema.safeParse(config);
  if (!parsed.success) refuse("accelerate's configuration", 'is not a map with num_processes and mixed_precision');
  const {
    num_processes: processes,
    mixed_precision: precision,
    distributed_type: type,
    deepspeed_config: deepspeed,
  } = parsed.data;
  const sharded = /DEEPSPEED|FSDP|MEGATRON/.test(type);
  if (sharded)
    unmatched.push({ field: 'distributed_type', value: type, text: 'see docs/scale.md for what several ranks share' });
  if (processes > 1) {
    const text = `start ${processes} ranks with --ranks ${processes} or torchrun; batchSize is that of all ranks together`;
    unmatched.push({ field: 'num_processes', value: processes, text });
  }
  const steps = Number(deepspeed?.gradient_accumulation_steps);
  return { processes, precision, accumulationSteps: Number.isInteger(steps) && steps > 0 ? steps : null };
}

/** What a field that nobody took comes to. */
const ADVICE: readonly [RegExp, string | null][] = [
  // Speed, memory and logging: nothing to set.
  [
    /^(gradient_checkpointing|activation_offloading|padding_free|pad_to_multiple_of|precompute_ref|dataset_num_proc|dataloader_|tf32)/,
    null,
  ],
  [
    /^(disable_tqdm|log_level|log_completions|logging_|torch_compile|attn_implementation|use_liger|ddp_|group_by_length)/,
    null,
  ],
  [
    /^(bf16_full_eval|remove_unused_columns|trust_remote_code|optim$|save_total_limit|save_only_model|disable_dropout|use_cpu)/,
    null,
  ],
  [
    /^(save_strategy|overwrite_output_dir|do_train|do_eval|per_device_eval|auto_find_batch_size|eval_accumulation)/,
    null,
  ],
  [/^(assistant_only_loss|completion_only_loss|dataset_kwargs|packing)/, null],
  [
    /^(eval_|dataset_test_split|metric_for_best|load_best_model|greater_is_better)/,
    'use evaluate.prompts or evaluate.holdOut, and evaluate.keepBest',
  ],
  [/^(push_to_hub|hub_)/, 'upload the model folder with the `hf upload` command'],
  [/^max_steps$/, 'use data.limit, or training.epochs'],
  [/^(dataset_config|dataset_streaming)/, 'name the files in data.train: hub:owner/name:path'],
  [/^lora_modules_to_save|^use_dora|^lora_rank_pattern/, 'these adapters are not trained here'],
  [/^(sync_ref_model|ref_model_)/, 'the reference is the previous or the initial model: see reference'],
  [/^(load_in_4bit|load_in_8bit|bnb_|use_bnb)/, 'quantised training is not there'],
  [/^truncation_mode$/, 'a prompt that is too long keeps its end, a response its beginning'],
  [/^(deepspeed|fsdp)/, 'see docs/scale.md for what several ranks share'],
  [/^(dataset_text_field)/, 'a text without roles has nothing to learn; use data.columns'],
];

function leftOver(fields: Fields, unmatched: Unmatched[]): void {
  for (const [field, value] of fields.rest()) {
    const known = ADVICE.find(([pattern]) => pattern.test(field));
    if (known === undefined) {
      const near = nearest(field, COMMON_FIELDS);
      const text = near === null ? 'it is not known here' : `it is not known here: did you mean ${near}`;
      unmatched.push({ field, value, text });
    } else if (known[1] === null) fields.needless.push(field);
    else unmatched.push({ field, value, text: known[1] });
  }
}

/** Fields that are often written, for those that are written wrong. */
const COMMON_FIELDS = [
  'model_name_or_path',
  'dataset_name',
  'learning_rate',
  'num_train_epochs',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'lr_scheduler_type',
  'warmup_ratio',
  'beta',
  'loss_type',
  'max_length',
  'lora_target_modules',
];
