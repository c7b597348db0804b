/**
 * @file adapter_config.json as PEFT writes it. What this program computes is plain LoRA and its rank-stabilised form; a
 * setting that means anything else is refused by its name, also one that a later PEFT may add and switch on.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelError, shownValue } from '../../errors.ts';
import { parseConfig } from '../config-file.ts';
import type { BaseName } from './base.ts';

export const ADAPTER_CONFIG = 'adapter_config.json';

/** What an adapter_config.json says that matters here. */
export interface AdapterConfig extends BaseName {
  rank: number;
  alpha: number;
  rankStabilised: boolean;
  /** Used by training only; 0 is all that this program trains with. */
  dropout: number;
}

const schema = z.looseObject({
  base_model_name_or_path: z.string().min(1).nullish(),
  revision: z.string().min(1).nullish(),
  // Absent settings have the values of PEFT's LoraConfig.
  r: z.int().positive().default(8),
  lora_alpha: z.number().positive().default(8),
  use_rslora: z.boolean().nullish(),
  lora_dropout: z.number().min(0).max(1).nullish(),
});

/** Settings that must have one of these values. */
const ALLOWED: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ['LORA'],
  task_type: ['CAUSAL_LM', null, undefined],
  bias: ['none', null, undefined],
  // The others change the base's weights when the adapter is loaded.
  init_lora_weights: [true, false, 'gaussian', 'eva', 'orthogonal', null, undefined],
};

/** Settings whose value has no say in what is computed here, because what they tune is off or already resolved. */
const WITHOUT_EFFECT = new Set([
  ...['base_model_name_or_path', 'r', 'lora_alpha', 'use_rslora', 'lora_dropout', 'revision', 'peft_version'],
  ...['inference_mode', 'megatron_core', 'qalora_group_size', 'ensure_weight_tying'],
  // The class of the base, which PEFT writes where no task_type was given.
  'auto_mapping',
  // Is for layers that keep their matrix transposed; PEFT switches it off for the ones that these models have.
  'fan_in_fan_out',
  // How A and B began. The file of weights has what became of them.
  'eva_config',
  // Which modules have factors is read from the weights themselves.
  ...['target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern'],
]);

/** Reads `directory`/adapter_config.json. Throws ModelError with the file and the field. */
export function readAdapterConfig(directory: string): AdapterConfig {
  const path = join(directory, ADAPTER_CONFIG);
  try {
    return parseAdapterConfig(JSON.parse(readFileSync(path, 'utf8')), path);
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError('ADAPTER_CONFIG', `Cannot read ${path}: ${reason}`, { cause, details: { file: path } });
  }
}

/** A parsed adapter_config.json. Throws ModelError ADAPTER_UNSUPPORTED for what cannot be honoured. */
export function parseAdapterConfig(value: unknown, path: string): AdapterConfig {
  const raw = parseConfig(schema, value, path);
  const refuse = (field: string, allowed: string): never => {
    throw new ModelError(
      'ADAPTER_UNSUPPORTED',
      `Cannot use the adapter of ${path}: ${field} is ${shownValue(raw[field])}, supported is ${allowed}`,
      { details: { file: path, field } },
    );
  };
  for (const [field, allowed] of Object.entries(ALLOWED)) {
    const values = allowed.filter((each) => each !== undefined && each !== null).map((each) => JSON.stringify(each));
    if (!allowed.includes(raw[field])) refuse(field, values.join(' or '));
  }
  for (const [field, setting] of Object.entries(raw)) {
    if (field in ALLOWED || WITHOUT_EFFECT.has(field) || isOff(setting)) continue;
    refuse(field, 'off: only plain and rank-stabilised LoRA are computed here');
  }
  const { base_model_name_or_path: base } = raw;
  if (base === null || base === undefined) {
    throw new ModelError(
      'ADAPTER_BASE',
      `Cannot use the adapter of ${path}: base_model_name_or_path is not set: set it to the folder of the base model`,
      { details: { file: path, field: 'base_model_name_or_path' } },
    );
  }
  return {
    rank: raw.r,
    alpha: raw.lora_alpha,
    rankStabilised: raw.use_rslora ?? false,
    dropout: raw.lora_dropout ?? 0,
    base,
    revision: raw.revision ?? null,
  };
}

/** null, false, {} and []: how PEFT writes that a setting is not used. */
function isOff(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === null || value === undefined || value === false;
}

/** The file's text for an adapter on the modules `targets`; the keys that PEFT 0.19 reads and whose value is not its default. */
export function formatAdapterConfig(config: Omit<AdapterConfig, 'dropout'> & { targets: readonly string[] }): string {
  const value = {
    base_model_name_or_path: config.base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    ...(config.revision === null ? {} : { revision: config.revision }),
    target_modules: config.targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rankStabilised,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}
