/** @file Makes a whole model of an adapter and its base, for tools that know no adapters. */
import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ModelError } from '../../errors.ts';
import { commitDirectory, type WrittenFiles } from '../../files/atomic.ts';
import { noGrad } from '../../torch/autograd.ts';
import { formatModelCard, licenceOf, licenceText, type ModelCard, modelName } from '../card.ts';
import { loadModel } from '../load.ts';
import { type SavedDtype, weightBytes, writeModelFiles } from '../save.ts';
import { baseDirectory, isAdapterDirectory } from './adapter.ts';
import type { Adapter } from './lora.ts';

/**
 * Writes the model W + scale * B A, computed in fp32, to the new folder `out` in the given type. Throws ModelError where
 * there is no adapter, or `out` is there already.
 */
export async function mergeAdapter(directory: string, out: string, dtype: SavedDtype): Promise<void> {
  if (!isAdapterDirectory(directory)) {
    throw new ModelError(
      'ADAPTER_CONFIG',
      `Cannot merge ${directory}: it has no adapter_config.json, so it is no adapter: a whole model needs no merging`,
      { details: { file: directory } },
    );
  }
  if (existsSync(out)) {
    throw new ModelError('OUTPUT_EXISTS', `Cannot merge into ${out}: it already exists: name a new folder`, {
      details: { file: out },
    });
  }
  const model = loadModel(directory);
  try {
    const { config, weights, adapter } = model;
    const base = baseDirectory(directory);
    const fill = (temporary: string): WrittenFiles => {
      const written = noGrad(() => writeModelFiles(temporary, { base, raw: config.raw, weights, adapter, dtype }));
      writeFileSync(join(temporary, 'README.md'), formatModelCard(cardOf(base, { out, dtype, adapter })));
      return written;
    };
    await commitDirectory(out, fill, { bytesNeeded: weightBytes(weights, dtype) });
  } finally {
    model.dispose();
  }
}

function cardOf(
  base: string,
  { out, dtype, adapter }: { out: string; dtype: SavedDtype; adapter: Adapter | null },
): ModelCard {
  const [baseModel, licence] = [modelName(base), licenceOf(base)];
  const { rank, alpha, rankStabilised, factors } = adapter ?? {
    rank: 0,
    alpha: 0,
    rankStabilised: false,
    factors: new Map(),
  };
  const kind = rankStabilised ? 'rank-stabilised LoRA' : 'LoRA';
  return {
    title: basename(out),
    baseModel,
    licence,
    library: 'transformers',
    tags: ['selm', 'merged', 'lora'],
    datasets: [],
    summary: `${baseModel} with an adapter merged into its weights by selm merge.`,
    sections: [
      {
        title: 'Method',
        text: `${kind} of rank ${rank} with alpha ${alpha} on ${factors.size} matrices, added in float32 and saved in ${dtype}.`,
      },
      { title: 'Licence', text: licenceText(baseModel, licence) },
    ],
  };
}
