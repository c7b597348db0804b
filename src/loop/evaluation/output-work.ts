/**
 * @file All ranks sample a model's outputs for a judge: an output has the same bits whichever rank samples it. Only
 * rank 0 asks the judge, and keeps its budget and its answers.
 */

import type { AnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import { type OutputModel, type OutputSettings, openOutputModel } from '../../evaluate/outputs.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import type { SharedWork, Team } from '../../ranks/team.ts';
import { type NamedPrompt, type Response, respondInOrder } from '../../sample/respond.ts';
import { openSampler } from '../../sample/sampler.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';

/** Which model answers, and how. */
interface OutputSetting {
  modelDirectory: string;
  device: string;
  settings: OutputSettings;
}

/** Sampling outputs as work on prompts. */
export const outputWork: SharedWork<OutputSetting, NamedPrompt, Pick<Response, 'promptId' | 'text'>> = {
  name: 'sample outputs',
  async *run({ modelDirectory, device, settings }, prompts, { signal }) {
    if (prompts.length === 0) return;
    const tokenizer = loadTokenizer(baseDirectory(modelDirectory));
    const sampler = withModel(modelDirectory, openSampler, { device });
    try {
      for await (const { promptId, text } of respondInOrder({ sampler, tokenizer }, prompts, { ...settings, signal }))
        yield { promptId, text };
    } finally {
      sampler.dispose();
      tokenizer.close();
    }
  },
};

/** A model whose outputs all ranks of a team sample. */
export function openSharedOutputs(
  modelDirectory: string,
  { team, store, signal, device }: { team: Team; store: AnswerStore; signal: AbortSignal | undefined; device: string },
): Promise<OutputModel> {
  // One process keeps its sampler from one call to the next.
  const respond =
    team.group.size === 1
      ? null
      : (prompts: readonly NamedPrompt[], settings: OutputSettings) =>
          team.share(outputWork, { modelDirectory, device, settings }, prompts, signal);
  return openOutputModel(modelDirectory, { store, signal, device, respond });
}
