/**
 * @file What becomes of TRL's fields that no setting takes. Some need none here, and for the others a table says what
 * to do instead. Between the settings and this table every field of TRL 1.16 has its place
 * (test/fixtures/trl/fields.json).
 */

import { nearest } from './nearest.ts';
import type { Fields, Unmatched } from './trl-fields.ts';

/** Speed, memory, the machine and what is printed: a run comes to the same without them. */
const NEEDLESS = [
  /^(gradient_checkpointing|activation_checkpointing|activation_offloading|padding_free|pad_to_multiple_of|pad_token$|use_cache$)/,
  /^(precompute_ref|dataset_num_proc$|dataloader_(?!drop_last)|streaming$|dataset_streaming$|remove_unused_columns$|label_names$)/,
  /^(length_column_name$|shuffle_dataset$|train_sampling_strategy$|group_by_length$|average_tokens_across_devices$)/,
  /^(tf32|torch_compile|torch_empty_cache|attn_implementation$|use_liger|liger_kernel_config$|auto_find_batch_size$|use_cpu$)/,
  /^(ddp_|local_rank$|full_determinism$|enable_jit_checkpoint$|ignore_bias_buffers$|skip_memory_metrics$|debug$)/,
  /^(logging_|log_|disable_tqdm$|include_|prediction_loss_only$|batch_eval_metrics$|(bf|fp)16_full_eval$|generate_during_eval$)/,
  /^(save_(?!steps)|overwrite_output_dir$|ignore_data_skip$|restore_callback_states|do_(train|eval|predict)$)/,
  /^(trust_remote_code$|force_use_ref_model$|lora_task_type$|completion_only_loss$)/,
  // Parts of what is listed or refused itself: of evaluation, the Hub, other losses, references that move, quantised weights.
  /^(per_device_eval|eval_(steps|delay|on_start|do_concat|use_gather|accumulation|packing)|dataset_test_split$|test_split_size$)/,
  /^(metric_for_best_model$|greater_is_better$|hub_(?!model_id)|f_alpha_divergence_coef$|discopop_tau$|packing_strategy$)/,
  /^(ref_model_|bnb_4bit_|use_bnb)/,
] as const;

interface Advice {
  fields: RegExp;
  /** What the user can do, or what selm does. */
  text: string;
  /** A value that says what selm does anyway. Values such as false, 0 and no never need advice. */
  asHere?: RegExp;
}

const ADVICE: readonly Advice[] = [
  {
    fields: /^(eval_strategy|load_best_model)/,
    text: 'use evaluate.prompts or evaluate.holdOut, and evaluate.keepBest',
  },
  { fields: /^(push_to_hub|hub_model_id)$/, text: 'push the finished run: selm push RUN owner/name' },
  { fields: /^max_steps$/, text: 'use data.limit, or training.epochs', asHere: /^-1$/ },
  { fields: /^dataset_config$/, text: 'name the files in data.train: hub:owner/name:path' },
  { fields: /^dataset_kwargs$/, text: 'rows are rendered as docs/rendering.md says' },
  {
    fields: /^dataset_text_field$/,
    text: 'a text without roles has nothing to learn; use data.columns',
    asHere: /^text$/,
  },
  { fields: /^dataloader_drop_last$/, text: 'set training.dropLastStep to leave out a smaller last step' },
  { fields: /^data_seed$/, text: 'the order of the data comes from seed' },
  {
    fields: /^(project|trackio_)/,
    text: 'give the tracker a section in track, with url and project',
    asHere: /^huggingface$/,
  },
  { fields: /^resume_from_checkpoint$/, text: 'name the model that the checkpoint holds in model', asHere: /^true$/ },
  { fields: /^model_init_kwargs$/, text: 'a model is loaded as its files say' },
  { fields: /^(chat_template_path|eos_token)$/, text: "put it into the files of the model's tokenizer" },
  {
    fields: /^optim$/,
    text: 'the optimiser is AdamW',
    asHere: /^(paged_)?adamw_(torch|torch_fused|hf|apex_fused|anyprecision|32bit)$/,
  },
  { fields: /^(optim_args|optim_target_modules)$/, text: 'the optimiser is AdamW, of all weights that are trained' },
  { fields: /^lr_scheduler_kwargs$/, text: 'cosine and linear end at 0' },
  {
    fields: /^label_smoothing_factor$/,
    text: 'tokens are not smoothed; pairs are, by objective.preference.labelSmoothing',
  },
  { fields: /^neftune_noise_alpha$/, text: 'embeddings get no noise' },
  { fields: /^disable_dropout$/, text: 'dropout is not computed', asHere: /^true$/ },
  {
    fields: /^(lora_modules_to_save|use_dora|lora_rank_pattern|lora_target_parameters)/,
    text: 'such adapters are not trained here',
  },
  { fields: /^load_in_[48]bit$/, text: 'quantised training is not there' },
  { fields: /^packing$/, text: 'training.batchSize counts conversations, not packed sequences' },
  { fields: /^sync_ref_model$/, text: 'the reference is the previous or the initial model: see reference' },
  { fields: /^f_divergence_type$/, text: 'the divergence from the reference is reverse KL', asHere: /^reverse_kl$/ },
  {
    fields: /^use_weighting$/,
    text: 'pairs are not weighted by how probable they are (WPO); their weights come from labels: soft',
  },
  { fields: /^ld_alpha$/, text: 'all tokens of a response weigh alike', asHere: /^1$/ },
  { fields: /^reference_free$/, text: 'there always is a reference: see reference' },
  { fields: /^router_aux_loss_coef$/, text: 'mixtures of experts are not trained here' },
  {
    fields: /^(deepspeed|fsdp|accelerator_config|parallelism_config)/,
    text: 'see docs/scale.md for what several ranks share',
  },
];

/** Sorts what nobody took into what needs no setting and what has no equivalent. */
export function leftOver(fields: Fields, unmatched: Unmatched[]): void {
  for (const [field, value] of fields.rest()) {
    const known = ADVICE.find((each) => each.fields.test(field));
    if (known !== undefined) {
      if (isOff(value) || known.asHere?.test(String(value)) === true) fields.needless.push(field);
      else unmatched.push({ field, value, text: known.text });
    } else if (NEEDLESS.some((pattern) => pattern.test(field))) fields.needless.push(field);
    else unmatched.push({ field, value, text: unknown(field, COMMON_FIELDS) });
  }
}

/** The advice for a field that no version of TRL is known to have. */
export function unknown(field: string, fields: readonly string[]): string {
  const near = nearest(field, fields);
  return near === null ? 'it is not known here' : `it is not known here: did you mean ${near}`;
}

/** Whether a value asks for nothing. */
function isOff(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === false || value === 0 || value === '' || value === 'no' || value === 'none';
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
