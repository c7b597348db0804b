/**
 * @file Whether a model's head is its embedding. config.json says so (`tie_word_embeddings`), but some checkpoints hold a
 * trained head all the same. Then the files decide, as in transformers: a head with other numbers is a head of its own.
 */
import { type IndexedTensor, safetensorsIndex } from '../files/safetensors-index.ts';
import { mapFile } from '../torch/mapped-file.ts';
import { equal, to_dtype } from '../torch/ops.ts';
import { scope } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';
import { checkShape, openTensor } from './weight-files.ts';
import { EMBEDDING, HEAD, weightInFile } from './weights.ts';

/**
 * The configuration with `tiedHead` as the weight files have it. Reads both matrices where a tied model has two, else
 * headers only. Throws ModelError for a head of another shape than the embedding.
 */
export function settleHead(config: ModelConfig, directory: string): ModelConfig {
  if (!config.tiedHead) return config;
  const untied = withOwnHead(config);
  const found = new Map<string | null, { fileName: string; tensor: IndexedTensor }>();
  for (const [fileName, tensor] of safetensorsIndex(directory).tensors)
    found.set(weightInFile(untied, fileName), { fileName, tensor });
  const [head, embedding] = [found.get(HEAD), found.get(EMBEDDING)];
  if (head === undefined || embedding === undefined) return config;
  checkShape(head.fileName, head.tensor, {
    shape: embedding.tensor.shape,
    by: `its embedding, ${embedding.fileName},`,
  });
  const same = scope('compare head and embedding', () => {
    const [a, b] = [head, embedding].map(({ fileName, tensor }) =>
      openTensor(fileName, tensor, mapFile(tensor.file.path)),
    );
    if (a === undefined || b === undefined) return false;
    return a.dtype === b.dtype ? equal(a, b) : equal(to_dtype(a, 'float32'), to_dtype(b, 'float32'));
  });
  return same ? config : untied;
}

function withOwnHead(config: ModelConfig): ModelConfig {
  const { fields, text } = config.raw;
  return { ...config, tiedHead: false, raw: { fields: { ...fields, tie_word_embeddings: false }, text } };
}
