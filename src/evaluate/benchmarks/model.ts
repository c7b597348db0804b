/**
 * @file A model as benchmarks ask it: log-probabilities of given answers by packed prompt trees, where all choices of an item share
 * its prompt and its examples, and greedy answers by the sampler. Token ids are made as lm-evaluation-harness makes them.
 */
import { DataError } from '../../errors.ts';
import type { ModelConfig } from '../../model/config.ts';
import { longAfter } from '../../model/rope.ts';
import { randomKey } from '../../random.ts';
import { generate } from '../../sample/generate.ts';
import type { Sampler } from '../../sample/sampler.ts';
import { scoreTrees } from '../../score/log-probs.ts';
import { microBatches } from '../../score/packing.ts';
import type { Policy } from '../../score/policy.ts';
import type { TokenTree } from '../../score/trees.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';

/** A prompt and what may follow it. */
export interface ChoiceRequest {
  id: string;
  context: string;
  /** With the space before them. */
  continuations: readonly string[];
}

/** A prompt to be continued. */
export interface AnswerRequest {
  id: string;
  context: string;
}

/** An answer to a request, or why there is none. */
export type Answered<Value> =
  | {
      kind: 'answered';
      id: string;
      value: Value /** Tokens of the prompt that did not fit, at its start. */;
      cut: number;
    }
  | { kind: 'refused'; id: string; problem: string };

export interface ScoringModel {
  policy: Policy;
  tokenizer: Tokenizer;
  /** Tokens that go through the model at once: speed and memory, never the result beyond its last bits. */
  batchTokens: number;
}

/** Summed log-probability of each continuation of each request, in nats. */
export function scoreChoices(
  { policy, tokenizer, batchTokens }: ScoringModel,
  requests: readonly ChoiceRequest[],
): Answered<number[]>[] {
  const { maxPositions } = policy.config;
  const encoded = encodePairs(tokenizer, requests);
  const planned = requests.map(({ id }, place) =>
    planTrees(id, encoded[place] ?? { contextIds: [], continuations: [] }, maxPositions),
  );
  const trees = planned.flatMap((plan) => ('trees' in plan ? plan.trees : []));
  const found = new Map<string, readonly number[]>();
  for (const batch of microBatches(trees, batchTokens, longAfter(policy.config))) {
    for (const [name, values] of scoreTrees(policy, batch)) found.set(name, values);
  }
  return planned.map((plan): Answered<number[]> => {
    if ('problem' in plan) return { kind: 'refused', id: plan.id, problem: plan.problem };
    const value = plan.trees.flatMap((tree) => found.get(tree.pairId) ?? []);
    return { kind: 'answered', id: plan.id, value, cut: plan.cut };
  });
}

interface EncodedPairs {
  contextIds: number[];
  continuations: number[][];
}

/** A text that ends in spaces gives them to what follows: tokens carry the space before a word. */
function encodePairs(tokenizer: Tokenizer, requests: readonly ChoiceRequest[]): EncodedPairs[] {
  const texts = requests.flatMap(({ context, continuations }) => {
    const kept = context.trimEnd();
    return [kept, ...continuations.map((each) => context + each)];
  });
  const ids = encodeAsHarness(tokenizer, texts);
  let next = 0;
  return requests.map(({ continuations }) => {
    const contextIds = ids[next++] ?? [];
    const wholes = continuations.map(() => ids[next++] ?? []);
    return { contextIds, continuations: wholes.map((whole) => whole.slice(contextIds.length)) };
  });
}

/** With the special tokens that the tokenizer adds, unless the text has its start token already. */
function encodeAsHarness(tokenizer: Tokenizer, texts: readonly string[]): number[][] {
  const { bosToken } = tokenizer;
  const hasStart = (text: string): boolean => bosToken !== null && bosToken !== '' && text.startsWith(bosToken);
  const plain = tokenizer.encodeBatch(texts.filter(hasStart));
  const special = tokenizer.encodeBatchWithSpecialTokens(texts.filter((text) => !hasStart(text)));
  return texts.map((text) => (hasStart(text) ? plain.shift() : special.shift()) ?? []);
}

/**
 * One tree for all continuations where everything fits. What does not fit loses the start of its prompt, each continuation by its own
 * length, and then they no longer share it.
 */
function planTrees(
  id: string,
  { contextIds, continuations }: EncodedPairs,
  maxPositions: number,
): { id: string; trees: TokenTree[]; cut: number } | { id: string; problem: string } {
  const empty = continuations.findIndex((ids) => ids.length === 0);
  if (contextIds.length === 0) return { id, problem: 'its prompt has no tokens' };
  if (empty >= 0) return { id, problem: `choice ${empty + 1} has no tokens of its own` };
  const longest = continuations.reduce((most, ids) => Math.max(most, ids.length), 0);
  // The last token is predicted and never read.
  const room = maxPositions + 1;
  if (longest >= room) {
    return { id, problem: `a choice has ${longest} tokens, and the model has ${maxPositions} positions` };
  }
  const shared = contextIds.length + longest <= room;
  const treeOf = (name: string, prompt: readonly number[], answers: readonly number[][]): TokenTree => ({
    pairId: name,
    promptIds: Int32Array.from(prompt),
    continuations: answers.map((ids) => Int32Array.from(ids)),
  });
  if (shared) return { id, trees: [treeOf(id, contextIds, continuations)], cut: 0 };
  const trees = continuations.map((ids, place) =>
    treeOf(`${id} ${place}`, contextIds.slice(Math.max(0, contextIds.length + ids.length - room)), [ids]),
  );
  return { id, trees, cut: contextIds.length + longest - room };
}

export interface AnsweringModel {
  sampler: Sampler;
  tokenizer: Tokenizer;
  /** Sequences at once. */
  batchSize: number;
}

export interface AnswerSettings {
  stops: readonly string[];
  maxNewTokens: number;
  signal?: AbortSignal | undefined;
}

/** Tokens at the end of an answer that are looked through for a stop text: more than the longest has. */
const STOP_WINDOW = 24;

/** Positions that are left for a prompt and its examples. DataError CONTEXT_TOO_SHORT where there are none. */
export function answerRoom({ maxPositions }: Pick<ModelConfig, 'maxPositions'>, maxNewTokens: number): number {
  if (maxPositions > maxNewTokens) return maxPositions - maxNewTokens;
  throw new DataError(
    'CONTEXT_TOO_SHORT',
    `Cannot ask the model: answers may have ${maxNewTokens} tokens, and it has ${maxPositions} positions: leave out benchmarks that generate`,
    { details: { maxNewTokens, maxPositions } },
  );
}

/** Greedy answers, each when it is finished. DataError CONTEXT_TOO_SHORT where the model has no room for any answer. */
export async function* generateAnswers(
  { sampler, tokenizer, batchSize }: AnsweringModel,
  requests: readonly AnswerRequest[],
  { stops, maxNewTokens, signal }: AnswerSettings,
): AsyncGenerator<Answered<string>> {
  const room = answerRoom(sampler.config, maxNewTokens);
  const cuts = new Map<string, number>();
  const ids = encodeAsHarness(
    tokenizer,
    requests.map(({ context }) => context),
  );
  const asked = requests.map(({ id }, place) => {
    const all = ids[place] ?? [];
    cuts.set(id, Math.max(0, all.length - room));
    // Greedy decoding draws nothing.
    return { promptId: id, promptIds: all.slice(-room), samples: [{ sampleIndex: 0, key: randomKey(0, id) }] };
  });
  const areComplete = (responses: readonly (readonly number[])[]): boolean[] =>
    tokenizer
      .decodeBatch(responses.map((each) => each.slice(-STOP_WINDOW)))
      .map((text) => stops.some((stop) => text.includes(stop)));
  const settings = {
    temperature: 0,
    topP: 1,
    topK: 0,
    maxNewTokens,
    stopIds: tokenizer.stopIds,
    areComplete,
    batchSize,
    signal,
  };
  for await (const { promptId, tokenIds } of generate(sampler, asked, settings)) {
    const text = stops.reduce((before, stop) => before.split(stop, 1)[0] ?? '', tokenizer.decode(tokenIds));
    yield { kind: 'answered', id: promptId, value: text, cut: cuts.get(promptId) ?? 0 };
  }
}
