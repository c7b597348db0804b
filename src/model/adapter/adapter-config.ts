/**
 * @file adapter_config.json as PEFT writes it. What this program computes is plain LoRA and its rank-stabilised form; a
 * setting that means anything else is refused by its name, also one that a later PEFT may add and switch on.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelError, shownValue } from '../../errors.ts';
import { parseConfig } from '../config-file.ts';

export const ADAPTER_CONFIG = 'adapter_config.json';

/** What an adapter_config.json says that matters here. */
export interface AdapterConfig {
  rank: number;
  alpha: number;
  rankStabilised: boolean;
  /** Used by training only; 0 is all that this program trains with. */
  dropout: number;
  /** The base model as the file names it: a folder, or a name on the Hub. */
  base: string;
}

const schema = z.looseObject({
  base_model_name_or_path: z.string().min(1),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().default(false),
  lora_dropout: z.number().min(0).max(1).default(0),
});

/** Settings that must have one of these values. */
const ALLOWED: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ['LORA'],
  task_type: ['CAUSAL_LM', null, undefined],
  bias: ['none', undefined],
  // The others change the base's weights when the adapter is loaded.
  init_lora_weights: [true, false, 'gaussian', undefined],
};

/** Settings whose value has no say in what is computed here, because what they tune is off or already resolved. */
const WITHOUT_EFFECT = new Set([
  ...['base_model_name_or_path', 'r', 'lora_alpha', 'use_rslora', 'lora_dropout', 'revision', 'peft_version'],
  ...['inference_mode', 'megatron_core', 'qalora_group_size'],
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
  return {
    rank: raw.r,
    alpha: raw.lora_alpha,
    rankStabilised: raw.use_rslora,
    dropout: raw.lora_dropout,
    base: raw.base_model_name_or_path,
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
    target_modules: config.targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rankStabilised,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}
