/**
 * @file config.json of a Hugging Face model directory, normalised once. What each family's fields mean is in families/;
 * what this decoder cannot run exactly is refused with the field that is the reason.
 */

import type { ModelConfig } from './config.ts';
import { parseConfig, readConfigFile, refuseField, textField } from './config-file.ts';
import { gemma2, gemma3, gemma3WithImages } from './families/gemma.ts';
import { llama } from './families/llama.ts';
import { mistral } from './families/mistral.ts';
import { olmo2 } from './families/olmo.ts';
import { phi3 } from './families/phi.ts';
import { qwen2, qwen3 } from './families/qwen.ts';
import { type Family, rawSchema } from './families/raw.ts';

const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['qwen2', qwen2],
  ['qwen3', qwen3],
  ['phi3', phi3],
  ['gemma2', gemma2],
  ['gemma3_text', gemma3],
  ['gemma3', gemma3WithImages],
  ['olmo2', olmo2],
]);

/** A parsed config.json as ModelConfig; ModelError naming file and field for what cannot be run. */
export function normaliseConfig(value: unknown, path: string, text = JSON.stringify(value)): ModelConfig {
  const kind = textField(value, 'model_type');
  const family = FAMILIES.get(kind ?? '');
  if (family === undefined) {
    refuseField(path, { field: 'model_type', value: kind, allowed: [...FAMILIES.keys()].join(', ') });
  }
  const whole = value as Record<string, unknown>;
  const fields = family.textPart === undefined ? whole : family.textPart(whole, path);
  const raw = parseConfig(rawSchema, { ...family.defaults, ...fields }, path);
  return family.normalise({ raw, given: { fields, text }, path });
}

/** Reads and normalises `directory`/config.json. */
export function readModelConfig(directory: string): ModelConfig {
  const { path, value, text } = readConfigFile(directory);
  return normaliseConfig(value, path, text);
}
