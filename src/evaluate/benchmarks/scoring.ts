/**
 * @file Log-probabilities of given answers by packed prompt trees: all choices of an item share its prompt and its examples, and items
 * that begin alike share their beginning.
 */
import { longAfter } from '../../model/rope.ts';
import { prefixBatches, sharePrefixes } from '../../score/prefixes.ts';
import type { Scorer } from '../../score/scorer.ts';
import type { TokenTree } from '../../score/trees.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { type EncodedPairs, encodePairs } from './encoding.ts';
import type { Answered, ChoiceRequest } from './requests.ts';

export interface ScoringModel {
  scorer: Scorer;
  tokenizer: Tokenizer;
  /** Tokens that go through the model at once: speed and memory, never the result beyond its last bits. */
  batchTokens: number;
}

/** Summed log-probability of each continuation of each request, in nats; each when it is there. */
export function* scoreChoices(
  { scorer, tokenizer, batchTokens }: ScoringModel,
  requests: readonly ChoiceRequest[],
): Generator<Answered<number[]>> {
  const { config } = scorer;
  const encoded = encodePairs(tokenizer, requests);
  const open: Scored[] = [];
  for (const [place, { id }] of requests.entries()) {
    const plan = planTrees(id, encoded[place] ?? { contextIds: [], continuations: [] }, config.maxPositions);
    if ('problem' in plan) yield { kind: 'refused', id, problem: plan.problem };
    else open.push(plan);
  }
  const trees = sharePrefixes(
    open.flatMap((plan) => plan.trees),
    longAfter(config),
  );
  const found = new Map<string, readonly number[]>();
  for (const batch of prefixBatches(trees, batchTokens, longAfter(config))) {
    for (const [name, values] of scorer.score(batch)) found.set(name, values);
    // Trees stay in their order, and so do answers.
    for (let [next] = open; next?.trees.every(({ pairId }) => found.has(pairId)); [next] = open) {
      open.shift();
      yield {
        kind: 'answered',
        id: next.id,
        value: next.trees.flatMap(({ pairId }) => found.get(pairId) ?? []),
        cut: next.cut,
      };
    }
  }
}

/** What is to be scored for a request. */
interface Scored {
  id: string;
  trees: TokenTree[];
  cut: number;
}

/**
 * One tree for all continuations where everything fits. What does not fit loses the start of its prompt, each continuation by its own
 * length, and then they no longer share it.
 */
function planTrees(
  id: string,
  { contextIds, continuations }: EncodedPairs,
  maxPositions: number,
): Scored | { id: string; problem: string } {
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
