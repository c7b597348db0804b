/** @file Trees of sequences whose prompts differ, and tokens that are read but not scored: the same numbers as apart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreTrees } from './log-probs.ts';
import { packTrees } from './packing.ts';
import { openPolicy, type Policy } from './policy.ts';
import { buildTree, buildTreeOfSequences, scoredTokens, treeTokens } from './trees.ts';

const config = smallConfig();
const ids = (key: string, length: number): number[] =>
  Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(9, key), i) * config.vocabularySize));

let policy: Policy;
beforeAll(() => {
  policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'score' });
});
afterAll(() => policy.dispose());

/** Log-probability of a response after its own whole prompt, nothing shared. */
function alone(promptIds: readonly number[], responseIds: readonly number[]): number {
  const response = Int32Array.from(responseIds);
  const tree = buildTree({
    pairId: 'x',
    promptIds: Int32Array.from(promptIds),
    chosenIds: response,
    rejectedIds: response,
    responseIds: null,
  });
  return scoreTrees(policy, packTrees([tree])).get('x')?.[0] ?? Number.NaN;
}

describe('buildTreeOfSequences()', () => {
  const prompt = ids('p', 6);
  const sequence = (promptIds: number[], key: string, length: number) => ({ promptIds, responseIds: ids(key, length) });

  it('scores each response after its own prompt when the prompts differ by a token', () => {
    const chosen = sequence(prompt, 'c', 4);
    const rejected = sequence(prompt.slice(0, -1), 'r', 5);
    const response = sequence([...prompt.slice(0, -1), 3], 'y', 3);
    const tree = buildTreeOfSequences('x', { chosen, rejected, response });
    expect([tree.promptIds.length, tree.continuations.map((each) => each.length)]).toEqual([5, [5, 5, 4]]);
    expect([0, 1, 2].map((index) => scoredTokens(tree, index))).toEqual([4, 5, 3]);
    const scores = scoreTrees(policy, packTrees([tree])).get('x') ?? [];
    [chosen, rejected, response].forEach((each, i) => {
      // fp32 sums in another order.
      expect(Math.abs((scores[i] ?? 0) - alone(each.promptIds, each.responseIds))).toBeLessThan(1e-4);
    });
  });

  it('scores responses whose prompts share nothing', () => {
    const chosen = sequence(prompt, 'c', 4);
    const rejected = sequence(prompt.slice(1), 'r', 2);
    const tree = buildTreeOfSequences('x', { chosen, rejected, response: null });
    expect(tree.promptIds).toHaveLength(0);
    expect(treeTokens(tree)).toBe(6 + 3 + 5 + 1);
    const [first = 0, second = 0] = scoreTrees(policy, packTrees([tree])).get('x') ?? [];
    expect(Math.abs(first - alone(chosen.promptIds, chosen.responseIds))).toBeLessThan(1e-4);
    expect(Math.abs(second - alone(rejected.promptIds, rejected.responseIds))).toBeLessThan(1e-4);
  });

  it('keeps two sequences of the same ids apart when they score another number of them', () => {
    const chosen = { promptIds: [...prompt, 5], responseIds: [7, 8] };
    const rejected = { promptIds: prompt, responseIds: [5, 7, 8] };
    const tree = buildTreeOfSequences('x', { chosen, rejected, response: chosen });
    expect([tree.chosen, tree.rejected, tree.response, tree.continuations.length]).toEqual([0, 1, 0, 2]);
  });

  it('is the tree of buildTree() when the prompts are equal', () => {
    const chosen = sequence(prompt, 'c', 4);
    const rejected = sequence(prompt, 'r', 2);
    expect(buildTreeOfSequences('x', { chosen, rejected, response: null })).toMatchObject({
      pairId: 'x',
      promptIds: Int32Array.from(prompt),
      continuations: [Int32Array.from(chosen.responseIds), Int32Array.from(rejected.responseIds)],
      chosen: 0,
      rejected: 1,
      response: null,
      winProbabilities: null,
    });
  });
});

describe('packTrees()', () => {
  it('refuses a tree with nothing to score, or whose first token would be scored after nothing', () => {
    const tree = { pairId: 'x', promptIds: Int32Array.of(), continuations: [Int32Array.of(1, 2)] };
    for (const scored of [undefined, [Uint8Array.of(0, 0)], [Uint8Array.of(1, 1)]]) {
      expect(() => packTrees([{ ...tree, ...(scored === undefined ? {} : { scored }) }])).toThrow(
        expect.objectContaining({ code: 'SEQUENCE_EMPTY' }),
      );
    }
  });

  it('reads a prompt twice when its sequences lie on both sides of the length at which positions turn otherwise', () => {
    const tree = {
      pairId: 'x',
      promptIds: Int32Array.of(1, 2, 3),
      continuations: [Int32Array.of(4, 5, 6), Int32Array.of(7), Int32Array.of(8, 9)],
    };
    // Lengths 6, 4 and 5: the first is longer than 5.
    const batch = packTrees([tree], 5);
    expect([...batch.ids_T]).toEqual([1, 2, 3, 8, 1, 2, 3, 4, 5]);
    expect([...batch.positions_T]).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 4]);
    expect([...batch.long_T]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1]);
    expect(batch.segments).toEqual([0, 3, -1, 3, 1, 0, 4, 3, -1, 7, 2, 2]);
    expect([...batch.targets_S]).toEqual([4, 5, 6, 7, 8, 9]);
    expect([...batch.rows_S]).toEqual([6, 7, 8, 2, 2, 3]);
    expect(treeTokens(tree, 5)).toBe(batch.ids_T.length);
    expect(treeTokens(tree, 6)).toBe(packTrees([tree], 6).ids_T.length);
  });
});
