/** @file The stage that samples: n responses of the policy to every prompt of the slice, each durable when it is finished. */
import type { PreferenceRow } from '../../data/rows.ts';
import { randomKey } from '../../random.ts';
import type { Recipe } from '../../recipe/schema.ts';
import type { GeneratedResponse, GenerationRequest } from '../../sample/generate.ts';
import { renderSamplingPrompts } from '../../text/rendering.ts';
import { modelSha256 } from '../model-hash.ts';
import { sampledResponses } from './responses.ts';
import { sampleTogether } from './sampling.ts';
import { sampleServed } from './served-sampling.ts';
import type { IterationContext } from './stage.ts';

/** Which model answers, how hot, and the places of its answers among the samples of a prompt. */
export interface Source {
  modelDirectory: string;
  temperature: number;
  sampleIndices: readonly number[];
}

/**
 * Index of the sample that the exploration term takes: the policy's first, or for xpo the first of the reference. Without
 * a term it is the one that is measured: a twin has the same y as the method beside it.
 */
export function exploredSample({ objective, sampling }: Pick<Recipe, 'objective' | 'sampling'>): number {
  switch (objective.exploration.kind) {
    case 'selm':
    case 'popo':
    case 'held':
    case 'vpo':
      return 0;
    case 'xpo':
      return sampling.samples;
    case 'none':
      return sampling.referenceSamples > 0 ? sampling.samples : 0;
  }
}

/** Who answers the prompts: the policy, its partner at another temperature where there is one, and the reference. */
export function sourcesOf(
  sampling: Recipe['sampling'],
  { policyDirectory, referenceDirectory }: { policyDirectory: string; referenceDirectory: string },
): Source[] {
  const { samples, referenceSamples, temperature, partnerTemperature } = sampling;
  const indices = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
  const policy = { modelDirectory: policyDirectory, temperature };
  const ofReference = {
    modelDirectory: referenceDirectory,
    temperature,
    sampleIndices: indices(samples, referenceSamples),
  };
  if (partnerTemperature === null) return [{ ...policy, sampleIndices: indices(0, samples) }, ofReference];
  const partner = { ...policy, temperature: partnerTemperature, sampleIndices: indices(1, samples - 1) };
  return [{ ...policy, sampleIndices: [0] }, partner, ofReference];
}

/** Samples what the ledger does not hold yet: of the policy, then of the reference where the recipe asks for it. */
export async function sampleResponses(
  context: IterationContext,
  input: { rows: readonly PreferenceRow[]; policyDirectory: string; referenceDirectory: string },
): Promise<string> {
  const { recipe, ledger, iteration, announce } = context;
  const { samples, referenceSamples, maxNewTokens } = recipe.sampling;
  const done = new Set(ledger.responses(iteration).map(({ promptId, sampleIndex }) => `${promptId}/${sampleIndex}`));
  const total = input.rows.length * (samples + referenceSamples);
  announce({
    kind: 'stage-started',
    stage: 'sample',
    total,
    done: done.size,
    unit: 'responses',
  });
  let tokens = 0;
  let cut = 0;
  let count = done.size;
  const startedMs = performance.now();
  for (const source of sourcesOf(recipe.sampling, input)) {
    const requests = requestsOf(context, input.rows, source, done);
    if (requests.length === 0) continue;
    for await (const responses of sampleFrom(context, source, requests)) {
      tokens += responses.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
      cut += responses.filter(({ finish }) => finish === 'length').length;
      count += responses.length;
      const rate = tokens / ((performance.now() - startedMs) / 1000);
      const detail = `${rate.toFixed(0)} tokens/s`;
      announce({ kind: 'stage-progress', stage: 'sample', done: count, total, detail });
    }
  }
  return `${count} responses, ${tokens} tokens sampled now, ${cut} cut at ${maxNewTokens} tokens`;
}

/** The prompts that lack samples of this source. */
function requestsOf(
  { recipe, iteration, tokenizer }: IterationContext,
  rows: readonly PreferenceRow[],
  { sampleIndices }: Source,
  done: ReadonlySet<string>,
): GenerationRequest[] {
  const promptIds = renderSamplingPrompts(
    tokenizer,
    rows.map(({ prompt }) => prompt),
    recipe.text,
  );
  const requests = rows.map((row, i) => ({
    promptId: row.promptId,
    promptIds: promptIds[i] ?? [],
    samples: sampleIndices
      .filter((sampleIndex) => !done.has(`${row.promptId}/${sampleIndex}`))
      .map((sampleIndex) => ({
        sampleIndex,
        key: randomKey(recipe.seed, 'sample', iteration, row.promptId, sampleIndex),
      })),
  }));
  return requests.filter(({ samples }) => samples.length > 0);
}

/** Samples of one model, as they finish; each is in the ledger before it is given out. */
async function* sampleFrom(
  context: IterationContext,
  source: Source,
  requests: readonly GenerationRequest[],
): AsyncGenerator<readonly GeneratedResponse[]> {
  const { recipe, ledger, iteration, tokenizer } = context;
  const { sampling, sampler } = recipe;
  const { stop } = sampling;
  const samplerSha256 = await modelSha256(source.modelDirectory);
  const groups =
    sampler.kind === 'own'
      ? sampleTogether(context, requests, source)
      : sampleServed(context, sampler, requests, source);
  for await (const responses of groups) {
    ledger.putResponses(
      sampledResponses(tokenizer, responses, stop).map(({ sequence, kept: { text, ids, logProb } }) => ({
        iteration,
        promptId: sequence.promptId,
        sampleIndex: sequence.sampleIndex,
        text,
        tokenIds: Int32Array.from(ids),
        finish: sequence.finish,
        logProb,
        samplerSha256,
        seed: recipe.seed,
      })),
    );
    yield responses;
  }
}
