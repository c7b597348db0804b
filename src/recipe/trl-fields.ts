/**
 * @file The fields of a configuration of TRL: each is taken by a setting (import-trl.ts), or is left over, and then a table says
 * whether it needs none or what to do in its place.
 */
import { z } from 'zod';
import { RecipeError, shownValue } from '../errors.ts';
import { nearest } from './nearest.ts';

/** A field without an equivalent: what the recipe does instead, or what the user can do. */
export interface Unmatched {
  field: string;
  value: unknown;
  text: string;
}

/** The fields of a configuration. What is asked for is taken; what nobody asks for is left over. */
export class Fields {
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

/** Throws RecipeError TRL_CONFIG. */
export function refuse(field: string, problem: string): never {
  throw new RecipeError('TRL_CONFIG', `Cannot import the configuration: ${field} ${problem}`, { details: { field } });
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
  [/^(model_init_kwargs|pad_token|force_use_ref_model|generate_during_eval|train_sampling_strategy)/, null],
  [/^(f_alpha_divergence_coef|discopop_tau)$/, null], // of losses that are refused or listed themselves
  [/^(assistant_only_loss|completion_only_loss|dataset_kwargs|packing)/, null],
  [
    /^(eval_|dataset_test_split|metric_for_best|load_best_model|greater_is_better)/,
    'use evaluate.prompts or evaluate.holdOut, and evaluate.keepBest',
  ],
  [/^(push_to_hub|hub_)/, 'push the finished run: selm push RUN owner/name'],
  [/^max_steps$/, 'use data.limit, or training.epochs'],
  [/^(dataset_config|dataset_streaming)/, 'name the files in data.train: hub:owner/name:path'],
  [/^lora_modules_to_save|^use_dora|^lora_rank_pattern/, 'such adapters are not trained here'],
  [/^(sync_ref_model|ref_model_)/, 'the reference is the previous or the initial model: see reference'],
  [/^(load_in_4bit|load_in_8bit|bnb_|use_bnb)/, 'quantised training is not there'],
  [/^f_divergence_type$/, 'the divergence from the reference is reverse KL'],
  [/^use_weighting$/, 'pairs are not weighted by how probable they are (WPO); their weights come from labels: soft'],
  [/^ld_alpha$/, 'all tokens of a response weigh alike'],
  [/^reference_free$/, 'there always is a reference: see reference'],
  [/^router_aux_loss_coef$/, 'mixtures of experts are not trained here'],
  [/^truncation_mode$/, 'a prompt that is too long keeps its end, a response its beginning'],
  [/^(deepspeed|fsdp)/, 'see docs/scale.md for what several ranks share'],
  [/^(dataset_text_field)/, 'a text without roles has nothing to learn; use data.columns'],
];

/** Sorts what nobody took into what needs no setting and what has no equivalent. */
export function leftOver(fields: Fields, unmatched: Unmatched[]): void {
  for (const [field, value] of fields.rest()) {
    const known = ADVICE.find(([pattern]) => pattern.test(field));
    if (known === undefined) {
      const near = nearest(field, COMMON_FIELDS);
      const text = near === null ? 'it is not known here' : `it is not known here: did you mean ${near}`;
      unmatched.push({ field, value, text });
    } else if (known[1] === null || value === false || value === 'reverse_kl')
      fields.needless.push(field); // as it is here
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
