/** @file What a model, or an adapter, says greedily after a prompt of ids; end tokens are left in as any other. */
import { loadModel } from '../../src/model/load.ts';
import { randomKey } from '../../src/random.ts';
import { generate } from '../../src/sample/generate.ts';
import { openSampler } from '../../src/sample/sampler.ts';

export interface Decoded {
  ids: number[];
  /** Sum over the ids, in nats. */
  logProb: number;
}

/** `count` tokens after the prompt, and their summed log-probability. */
export async function greedy(directory: string, prompt: readonly number[], count: number): Promise<Decoded> {
  const model = loadModel(directory);
  const sampler = openSampler(model);
  model.dispose();
  const request = { promptId: 'x', promptIds: prompt, samples: [{ sampleIndex: 0, key: randomKey(1, 'x') }] };
  const settings = { temperature: 0, topP: 1, topK: 0, maxNewTokens: count, stopIds: [], batchSize: 1 };
  const found: Decoded[] = [];
  for await (const { tokenIds: ids, logProb } of generate(sampler, [request], settings)) found.push({ ids, logProb });
  sampler.dispose();
  return found[0] ?? { ids: [], logProb: Number.NaN };
}
