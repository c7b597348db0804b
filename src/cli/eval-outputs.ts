/** @file Outputs of a model to instructions for a judge: sampled once, and kept like the answers to benchmarks. */
import { respondInOrder } from '../api/respond.ts';
import { defaultStorePath, openAnswerStore } from '../evaluate/benchmarks/answer-store.ts';
import { sha256 } from '../files/hash.ts';
import { localModel } from '../hub/local.ts';
import { modelSha256 } from '../loop/model-hash.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { withModel } from '../model/load.ts';
import { openSampler } from '../sample/sampler.ts';
import type { Prompt } from '../text/rendering.ts';
import { loadTokenizer } from '../text/tokenizer.ts';
import { hubAccess } from './hub.ts';

export interface OutputOptions {
  temperature: number;
  topP: number;
  maxNewTokens: number;
  seed: number;
  store?: string;
}

/** An output for every instruction, in order. An interruption keeps those that are finished. */
export async function sampledOutputs(
  model: string,
  instructions: readonly string[],
  { temperature, topP, maxNewTokens, seed, store: storePath }: OutputOptions,
  { signal, say }: { signal: AbortSignal; say: (text: string) => void },
): Promise<{ instruction: string; output: string }[]> {
  const directory = await localModel(model, hubAccess());
  const tokenizer = loadTokenizer(baseDirectory(directory));
  const store = openAnswerStore(storePath ?? defaultStorePath());
  const identity = ['output-1', await modelSha256(directory), tokenizer.sha256, temperature, topP, maxNewTokens, seed];
  const keyOf = (instruction: string): string => sha256(JSON.stringify([...identity, instruction]));
  try {
    const open = [...new Set(instructions)].filter((each) => store.get(keyOf(each)) === null);
    say(`${instructions.length - open.length} of ${instructions.length} outputs are kept from before`);
    if (open.length > 0) {
      const asPrompt = (text: string): Prompt =>
        tokenizer.chatTemplate === null
          ? { kind: 'text', text }
          : { kind: 'chat', messages: [{ role: 'user', content: text }] };
      const prompts = open.map((instruction) => ({ promptId: sha256(instruction), prompt: asPrompt(instruction) }));
      const sampler = withModel(directory, openSampler);
      try {
        let next = 0;
        for await (const { text } of respondInOrder({ sampler, tokenizer }, prompts, {
          temperature,
          topP,
          maxNewTokens,
          seed,
          signal,
        })) {
          const instruction = open[next++] ?? '';
          store.put([{ key: keyOf(instruction), answer: JSON.stringify(text.trim()) }]);
        }
      } finally {
        sampler.dispose();
      }
    }
    return instructions.map((instruction) => ({
      instruction,
      output: String(JSON.parse(store.get(keyOf(instruction)) ?? '""')),
    }));
  } finally {
    store.close();
    tokenizer.close();
  }
}
