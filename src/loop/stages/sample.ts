/** @file The stage that samples: n responses of the policy to every prompt of the slice, each durable when it is finished. */
import type { PreferenceRow } from '../../data/rows.ts';
import { loadModel } from '../../model/load.ts';
import { randomKey } from '../../random.ts';
import { type GenerationRequest, generate } from '../../sample/generate.ts';
import { openSampler } from '../../sample/sampler.ts';
import { renderSamplingPrompt } from '../../text/rendering.ts';
import { modelSha256 } from '../model-hash.ts';
import { responseOf, stopTest } from './responses.ts';
import type { IterationContext } from './stage.ts';

/** Samples what the ledger does not hold yet. */
export async function sampleResponses(
  context: IterationContext,
  input: { rows: readonly PreferenceRow[]; modelDirectory: string },
): Promise<string> {
  const { recipe, ledger, iteration, tokenizer, watch } = context;
  const { samples, temperature, topP, topK, maxNewTokens, batchSize, stop } = recipe.sampling;
  const done = new Set(ledger.responses(iteration).map(({ promptId, sampleIndex }) => `${promptId}/${sampleIndex}`));
  const requests: GenerationRequest[] = input.rows.map((row) => ({
    promptId: row.promptId,
    promptIds: renderSamplingPrompt(tokenizer, row.prompt, recipe.text),
    samples: Array.from({ length: samples }, (_, sampleIndex) => ({
      sampleIndex,
      key: randomKey(recipe.seed, 'sample', iteration, row.promptId, sampleIndex),
    })).filter(({ sampleIndex }) => !done.has(`${row.promptId}/${sampleIndex}`)),
  }));
  const total = input.rows.length * samples;
  watch({
    kind: 'stage-started',
    run: recipe.name,
    iteration,
    stage: 'sample',
    total,
    done: done.size,
    unit: 'responses',
  });

  const samplerSha256 = await modelSha256(input.modelDirectory);
  const model = loadModel(input.modelDirectory);
  const sampler = openSampler(model);
  model.dispose();
  let tokens = 0;
  let cut = 0;
  let count = done.size;
  const startedMs = performance.now();
  try {
    const options = {
      temperature,
      topP,
      topK,
      maxNewTokens,
      batchSize,
      stopIds: tokenizer.stopIds,
      isComplete: stopTest(tokenizer, stop),
      signal: context.signal,
    };
    for await (const response of generate(sampler, requests, options)) {
      tokens += response.tokenIds.length;
      cut += response.finish === 'length' ? 1 : 0;
      const { text, ids } = responseOf(tokenizer, response, stop);
      ledger.putResponse({
        iteration,
        promptId: response.promptId,
        sampleIndex: response.sampleIndex,
        text,
        tokenIds: Int32Array.from(ids),
        finish: response.finish,
        logProb: response.logProb,
        samplerSha256,
        seed: recipe.seed,
      });
      count += 1;
      const rate = tokens / ((performance.now() - startedMs) / 1000);
      watch({
        kind: 'stage-progress',
        iteration,
        stage: 'sample',
        done: count,
        total,
        detail: `${rate.toFixed(0)} tokens/s`,
      });
    }
  } finally {
    sampler.dispose();
  }
  return `${count} responses, ${tokens} tokens sampled now, ${cut} cut at ${maxNewTokens} tokens`;
}
