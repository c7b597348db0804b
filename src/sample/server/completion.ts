/**
 * @file Completions of an OpenAI-compatible server as sampled sequences: prompts go as token ids, and token ids come back with
 * the log-probability of each. A text that was encoded again would have other ids than those that were sampled. Pure.
 */
import { z } from 'zod';
import type { GeneratedResponse, SamplingSettings } from '../generate.ts';

/** What asks for one response. */
export interface CompletionRequest extends SamplingSettings {
  /** Name of the model at the server. */
  model: string;
  promptIds: readonly number[];
  stopIds: readonly number[];
  /** Texts that end a response. */
  stop: readonly string[];
  seed: number;
}

/** A sampled sequence, or why the answer holds none. */
export type Completion =
  | Pick<GeneratedResponse, 'tokenIds' | 'endId' | 'finish' | 'tokenLogProbs' | 'logProb'>
  | { problem: string };

/**
 * The body of a request. Everything that a server would take from the model's generation_config.json is said, so that it
 * samples from the policy and from nothing else; what only vLLM knows is left out for others.
 */
export function completionBody(request: CompletionRequest, dialect: 'vllm' | 'openai'): Record<string, unknown> {
  const { model, promptIds, temperature, topP, topK, maxNewTokens, stopIds, stop, seed } = request;
  return {
    model,
    prompt: promptIds,
    max_tokens: maxNewTokens,
    temperature,
    top_p: topP,
    n: 1,
    seed,
    logprobs: dialect === 'vllm' ? 0 : 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    ...(stop.length === 0 ? {} : { stop }),
    ...(dialect === 'openai' && topK === 0 ? {} : { top_k: topK }),
    return_token_ids: true,
    return_tokens_as_token_ids: true,
    stop_token_ids: stopIds,
    ...(dialect === 'vllm' ? { min_p: 0, repetition_penalty: 1 } : {}),
  };
}

const ids = z.array(z.int().gte(0));
const choiceSchema = z.object({
  finish_reason: z.string().nullish(),
  /** vLLM. */
  token_ids: ids.nullish(),
  logprobs: z
    .object({
      token_logprobs: z.array(z.number().nullable()).nullish(),
      /** `token_id:17` where the server was asked for it and knows how. */
      tokens: z.array(z.string()).nullish(),
      /** llama.cpp. */
      content: z.array(z.object({ id: z.int().gte(0), logprob: z.number() })).nullish(),
    })
    .nullish(),
  prompt_logprobs: z.array(z.record(z.string(), z.object({ logprob: z.number() })).nullable()).nullish(),
});
const bodySchema = z.object({ choices: z.tuple([choiceSchema], z.unknown()) });

/** Reads the answer to a request: one choice, its ids up to and with the first end token, and their log-probabilities. */
export function readCompletion(body: unknown, { stopIds }: Pick<CompletionRequest, 'stopIds'>): Completion {
  const answer = bodySchema.safeParse(body);
  if (!answer.success) return { problem: 'its answer is no completion' };
  const [{ finish_reason: reason, token_ids, logprobs }] = answer.data.choices;
  const allIds = token_ids ?? logprobs?.content?.map(({ id }) => id) ?? idsInNames(logprobs?.tokens ?? null);
  if (allIds === null) {
    return { problem: 'its answer has no token ids (a server gives them by return_token_ids, as vLLM does)' };
  }
  const allLogProbs = logprobs?.content?.map(({ logprob }) => logprob) ?? logprobs?.token_logprobs ?? [];
  const finite = allLogProbs.filter((value): value is number => value !== null && Number.isFinite(value));
  if (finite.length !== allIds.length) {
    return { problem: `its answer has ${allIds.length} tokens and ${finite.length} log-probabilities` };
  }
  const end = allIds.findIndex((id) => stopIds.includes(id));
  const endId = end < 0 ? null : (allIds[end] ?? null);
  const tokenLogProbs = end < 0 ? finite : finite.slice(0, end + 1);
  return {
    tokenIds: end < 0 ? allIds : allIds.slice(0, end),
    endId,
    finish: endId === null && reason === 'length' ? 'length' : 'stop',
    tokenLogProbs,
    logProb: tokenLogProbs.reduce((sum, value) => sum + value, 0),
  };
}

/** Ids in tokens that are written `token_id:17`; null where one is not. */
function idsInNames(tokens: readonly string[] | null): number[] | null {
  const found = tokens?.map((token) => /^token_id:(\d+)$/.exec(token)?.[1]) ?? null;
  if (found === null || found.some((digits) => digits === undefined)) return null;
  return found.map(Number);
}

/** The body that asks vLLM for the log-probabilities of a sequence's own tokens. */
export function scoringBody(model: string, sequence: readonly number[]): Record<string, unknown> {
  return { model, prompt: sequence, max_tokens: 1, temperature: 0, prompt_logprobs: 0 };
}

/** Summed log-probability of a sequence's tokens from `from` on, in nats, out of the answer to `scoringBody`. */
export function readScore(
  body: unknown,
  sequence: readonly number[],
  from: number,
): { logProb: number } | { problem: string } {
  const answer = bodySchema.safeParse(body);
  const known = answer.success ? answer.data.choices[0].prompt_logprobs : null;
  if (known === null || known === undefined || known.length !== sequence.length)
    return { problem: 'its answer has no log-probabilities of the prompt (prompt_logprobs, as vLLM gives them)' };
  let logProb = 0;
  for (const [position, id] of sequence.entries()) {
    if (position < from) continue;
    const value = known[position]?.[String(id)]?.logprob;
    if (value === undefined) return { problem: `its answer lacks the log-probability of token ${position}` };
    logProb += value;
  }
  return { logProb };
}
