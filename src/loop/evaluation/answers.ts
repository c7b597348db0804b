/**
 * @file A model's answers to the held-out prompts. Each is durable when it is finished: a stage that was stopped samples
 * only what it lacks, and a model that answered before under the same settings is not asked again.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { sha256 } from '../../files/hash.ts';
import { randomKey } from '../../random.ts';
import type { GenerationRequest } from '../../sample/generate.ts';
import type { HeldOutResponse } from '../../store/ledger-rows.ts';
import { renderSamplingPrompts } from '../../text/rendering.ts';
import { modelSha256 } from '../model-hash.ts';
import { sampledResponses } from '../stages/responses.ts';
import { sampleTogether } from '../stages/sampling.ts';
import type { IterationContext } from '../stages/stage.ts';

/** An answer, with the prompt that it is to. */
export interface Answer extends HeldOutResponse {
  row: PreferenceRow;
  promptIds: Int32Array;
}

/** Name of an answer among those of one model. */
export function answerKey({ promptId, sampleIndex }: Pick<HeldOutResponse, 'promptId' | 'sampleIndex'>): string {
  return `${promptId}/${sampleIndex}`;
}

/** Every answer of a model, in the order of the prompts and then of the samples; `how` is the recipe's, or greedy. */
export async function answerHeldOut(
  context: IterationContext,
  { heldOut, modelDirectory }: { heldOut: readonly PreferenceRow[]; modelDirectory: string },
  how: { samples: number; temperature: number } = context.recipe.evaluate,
): Promise<Answer[]> {
  const { recipe, ledger, tokenizer, announce } = context;
  const { samples, temperature } = how;
  const { maxNewTokens } = recipe.evaluate;
  const ids = renderSamplingPrompts(
    tokenizer,
    heldOut.map(({ prompt }) => prompt),
    recipe.text,
  );
  const prompts = heldOut.map((row, i) => ({ row, promptIds: Int32Array.from(ids[i] ?? []) }));
  const { seed, sampling } = recipe;
  // What decides an answer, beside the weights.
  const { topP, topK, stop, dtype } = sampling;
  const decisive = [seed, temperature, maxNewTokens, topP, topK, stop, ...(dtype === 'float32' ? [] : [dtype])];
  const settings = sha256(JSON.stringify([decisive, prompts.map(({ promptIds }) => Array.from(promptIds))])).slice(
    0,
    16,
  );
  const samplerSha256 = await modelSha256(modelDirectory);

  const known = ledger.heldOutResponses({ samplerSha256, settings });
  const answered = new Map(known.map((response) => [answerKey(response), response]));
  const requests = prompts.map(
    ({ row: { promptId }, promptIds }): GenerationRequest => ({
      promptId,
      promptIds: Array.from(promptIds),
      samples: Array.from({ length: samples }, (_, sampleIndex) => ({
        sampleIndex,
        key: randomKey(seed, 'evaluate', promptId, sampleIndex),
      })).filter(({ sampleIndex }) => !answered.has(answerKey({ promptId, sampleIndex }))),
    }),
  );
  const open = requests.filter(({ samples: left }) => left.length > 0);
  const total = prompts.length * samples;
  announce({ kind: 'stage-started', stage: 'evaluate', total, done: total - countOf(open), unit: 'answers' });
  if (open.length > 0) {
    for await (const responses of sampleTogether(context, open, { modelDirectory, temperature, maxNewTokens })) {
      const answers = sampledResponses(tokenizer, responses, sampling.stop).map(
        ({ sequence: { promptId, sampleIndex, finish, logProb, tokenIds, endId }, kept }): HeldOutResponse => ({
          samplerSha256,
          settings,
          promptId,
          sampleIndex,
          text: kept.text,
          tokenIds: Int32Array.from(endId === null ? tokenIds : [...tokenIds, endId]),
          length: Math.min(kept.ids.length, tokenIds.length),
          finish,
          logProb,
        }),
      );
      ledger.putHeldOutResponses(answers);
      for (const answer of answers) answered.set(answerKey(answer), answer);
      announce({ kind: 'stage-progress', stage: 'evaluate', done: answered.size, total });
    }
  }
  return prompts.flatMap(({ row, promptIds }) =>
    Array.from({ length: samples }, (_, sampleIndex) =>
      answered.get(answerKey({ promptId: row.promptId, sampleIndex })),
    )
      .filter((answer) => answer !== undefined)
      .map((answer) => ({ ...answer, row, promptIds })),
  );
}

function countOf(requests: readonly GenerationRequest[]): number {
  return requests.reduce((sum, { samples }) => sum + samples.length, 0);
}
