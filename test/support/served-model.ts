/**
 * @file A small checkpoint that vLLM serves: its attention wants heads of 32 numbers or more, which the story model's are not.
 * Two blocks of width 64 with random weights, and the story model's tokenizer.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/files/package-root.ts';
import { normaliseConfig } from '../../src/model/read-config.ts';
import { writeModelFiles } from '../../src/model/save.ts';
import { disposeAll } from '../../src/torch/tensor.ts';
import { smallWeights } from './small-model.ts';

const STORIES = join(packageRoot, 'assets', 'stories260K');

/** Writes the checkpoint into a folder that is not there yet; `tied`: its head is its embedding. */
export function writeServedModel(folder: string, { tied = false }: { tied?: boolean } = {}): void {
  const fields = {
    ...(JSON.parse(readFileSync(join(STORIES, 'config.json'), 'utf8')) as Record<string, unknown>),
    head_dim: 32,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    num_hidden_layers: 2,
    intermediate_size: 128,
    tie_word_embeddings: tied,
  };
  const config = normaliseConfig(fields, folder);
  const weights = smallWeights(config);
  mkdirSync(folder, { recursive: true });
  writeModelFiles(folder, { base: STORIES, raw: { fields, text: JSON.stringify(fields) }, weights, dtype: 'float32' });
  disposeAll([...weights.values()]);
}
