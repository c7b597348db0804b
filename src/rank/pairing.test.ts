import { describe, expect, test } from 'vitest';
import {
  marginWeights,
  type Pairing,
  type PairOptions,
  type PairRule,
  type RankedRule,
  rankedPairs,
  ruleNeeds,
  unrankedPairs,
} from './pairing.ts';
import { type Candidate, type RankItem, type Ranking, rankingFromScores } from './ranker.ts';

const y = (text: string, sampleIndex = 0): Candidate => ({ kind: 'response', sampleIndex, text });
const y_w: Candidate = { kind: 'chosen', sampleIndex: null, text: 'w' };
const y_l: Candidate = { kind: 'rejected', sampleIndex: null, text: 'l' };

function item(...candidates: Candidate[]): RankItem {
  return { promptId: 'p', prompt: { kind: 'text', text: 'Once' }, candidates };
}

/** The only pairing of a prompt. */
function buildPair(of: RankItem, ranking: Ranking, rule: RankedRule): Pairing | undefined {
  const pairings = rankedPairs(of, ranking, rule);
  expect(pairings).toHaveLength(1);
  return pairings[0];
}

const textsOf = (pairing: Pairing | undefined): string | string[] =>
  pairing?.kind === 'pair' ? [pairing.chosen.text, pairing.rejected.text] : (pairing?.reason ?? 'no pairing');

/** [text of chosen, text of rejected], or the reason. */
function pairOf(candidates: Candidate[], scores: number[], rule: 'best-and-worst' | 'replace' = 'best-and-worst') {
  return textsOf(buildPair(item(...candidates), rankingFromScores('p', scores), rule));
}

describe('rankingFromScores()', () => {
  test('orders by score, best first, and keeps candidate order in ties', () => {
    expect(rankingFromScores('p', [0.1, 0.9, 0.1, 0.9, 0.5])).toEqual({
      promptId: 'p',
      scores: [0.1, 0.9, 0.1, 0.9, 0.5],
      order: [1, 3, 4, 0, 2],
      ties: [
        [0, 2],
        [1, 3],
      ],
    });
  });

  test('ties zero and minus zero', () => {
    expect(rankingFromScores('p', [0, -0]).ties).toEqual([[0, 1]]);
  });
});

describe('rankedPairs() with best-and-worst', () => {
  // All six orders of three candidates: the best is chosen, the worst rejected, the middle left out.
  test.each([
    [
      [3, 2, 1],
      ['y', 'l'],
    ],
    [
      [3, 1, 2],
      ['y', 'w'],
    ],
    [
      [2, 3, 1],
      ['w', 'l'],
    ],
    [
      [1, 3, 2],
      ['w', 'y'],
    ],
    [
      [2, 1, 3],
      ['l', 'w'],
    ],
    [
      [1, 2, 3],
      ['l', 'y'],
    ],
  ])('scores %j of [y, y_w, y_l] give %j', (scores, expected) => {
    expect(pairOf([y('y'), y_w, y_l], scores)).toEqual(expected);
  });

  test('gives the first candidate the best place in a tie, as numpy argmin does', () => {
    expect(pairOf([y('y'), y_w, y_l], [2, 2, 1])).toEqual(['y', 'l']);
    expect(pairOf([y('y'), y_w, y_l], [1, 2, 2])).toEqual(['w', 'y']);
  });

  test('gives the first candidate the worst place in a tie, as numpy argmax does', () => {
    expect(pairOf([y('y'), y_w, y_l], [1, 2, 1])).toEqual(['w', 'y']);
    expect(pairOf([y('y'), y_w, y_l], [2, 1, 1])).toEqual(['y', 'w']);
  });

  test.each<[string, number[], string, boolean]>([
    ['the worst place is shared', [1, 2, 1], 'y', true],
    ['the best place is shared', [2, 2, 1], 'y', true],
    ['no place is shared', [3, 2, 1], 'y', false],
    ['a place is shared by the same text only', [2, 2, 1], 'w', false],
  ])('says when %s', (_, scores, text, sharesPlace) => {
    const pair = buildPair(item(y(text), y_w, y_l), rankingFromScores('p', scores), 'best-and-worst');
    expect(pair).toMatchObject({ kind: 'pair', sharesPlace });
  });

  test('counts no shared place between the two others', () => {
    const pair = buildPair(item(y('a'), y('b'), y_w, y_l), rankingFromScores('p', [2, 2, 3, 1]), 'best-and-worst');
    expect(pair).toMatchObject({ kind: 'pair', sharesPlace: false });
  });

  test('skips a prompt whose candidates all tie', () => {
    expect(pairOf([y('y'), y_w, y_l], [1, 1, 1])).toBe('all candidates tie');
  });

  test('never pairs equal texts, even where a ranker scored them apart', () => {
    expect(pairOf([y('same'), { ...y_w, text: 'same' }], [2, 1])).toBe('equal texts');
    expect(pairOf([y('same'), y('other', 1), { ...y_w, text: 'same' }], [3, 2, 1])).toBe('equal texts');
  });

  test('tells equal samples from a ranker that cannot decide', () => {
    expect(pairOf([y('same', 0), y('same', 1)], [1, 1])).toBe('equal texts');
    expect(pairOf([y('a', 0), y('b', 1)], [1, 1])).toBe('all candidates tie');
  });

  test('takes the best and the worst of n samples, chosen and rejected', () => {
    expect(pairOf([y('a', 0), y('b', 1), y('c', 2), y_w, y_l], [3, 9, 1, 5, 4])).toEqual(['b', 'c']);
  });

  test('takes the best and the worst of the samples when the prompt stands alone', () => {
    expect(pairOf([y('a', 0), y('b', 1), y('c', 2)], [0.2, 0.1, 0.7])).toEqual(['c', 'b']);
  });

  test('has the probability that the chosen is better where labels are soft, and none where that is even', () => {
    const soft = (ranking: Ranking): Pairing | undefined =>
      rankedPairs(item(y('y'), y_w), ranking, 'best-and-worst', { labels: 'soft' })[0];
    const scored = rankingFromScores('p', [0, Math.log(3)]);
    expect(soft(scored)).toMatchObject({
      chosen: { text: 'w' },
      label: { probability: expect.closeTo(0.75, 12), weight: 1 },
    });
    expect(buildPair(item(y('y'), y_w), scored, 'best-and-worst')).toMatchObject({ label: null });
    const weighed = { ...scored, scores: null, judgements: [{ shown: [1, 0], value: 0.9, answerKey: 'a', weight: 2 }] };
    expect(soft(weighed)).toMatchObject({ label: { probability: 0.9, weight: 2 } });
    // A judge whose two orders undo each other: its scores may still differ by what it said of others.
    const judgements = [
      { shown: [0, 1], value: 0.7, answerKey: 'a' },
      { shown: [1, 0], value: 0.7, answerKey: 'b' },
    ];
    expect(textsOf(soft({ ...scored, judgements }))).toBe('no likely winner');
  });

  test('takes what a person wrote in place of the best one, and not what replaced another', () => {
    const edited = (shown: number[], value: number): Ranking => ({
      promptId: 'p',
      scores: null,
      order: [1, 0, 2],
      ties: [],
      judgements: [{ shown, value, answerKey: 'a', edit: 'better still' }],
    });
    const candidates = item(y('a', 0), y('b', 1), y('c', 2));
    const pair = buildPair(candidates, edited([0, 1], 0.1), 'best-and-worst');
    expect(pair).toMatchObject({ chosen: { kind: 'edit', text: 'better still' }, rejected: { text: 'c' } });
    expect(textsOf(buildPair(candidates, edited([0, 2], 0.9), 'best-and-worst'))).toEqual(['b', 'c']);
  });

  test('keeps the scores of both sides, and null for a ranker that only orders', () => {
    const scored = buildPair(item(y('y'), y_w), rankingFromScores('p', [0.25, 0.75]), 'best-and-worst');
    expect(scored).toMatchObject({ scoreChosen: 0.75, scoreRejected: 0.25 });
    const order = { promptId: 'p', scores: null, order: [1, 0], ties: [] };
    const ordered = buildPair(item(y('y'), y_w), order, 'best-and-worst');
    expect(ordered).toMatchObject({ scoreChosen: null, scoreRejected: null, chosen: { text: 'w' } });
  });

  test('skips a prompt with a ranker problem or with one candidate', () => {
    const problem = { promptId: 'p', scores: null, order: [], ties: [], problem: 'reward() threw' };
    expect(buildPair(item(y('y'), y_w), problem, 'best-and-worst')).toEqual({
      kind: 'skipped',
      promptId: 'p',
      reason: 'ranker problem',
    });
    expect(pairOf([y('y')], [1])).toBe('fewer than two candidates');
  });
});

describe('rankedPairs() with replace', () => {
  test("puts the response in the chosen's place where it ranks above it, else in the rejected's", () => {
    expect(pairOf([y('y'), y_w, y_l], [3, 2, 1], 'replace')).toEqual(['y', 'l']);
    expect(pairOf([y('y'), y_w, y_l], [1, 2, 3], 'replace')).toEqual(['w', 'y']);
    expect(pairOf([y('y'), y_w, y_l], [1, 3, 2], 'replace')).toEqual(['w', 'y']);
  });

  test('takes the best sample to replace the chosen, the worst to replace the rejected', () => {
    expect(pairOf([y('a', 0), y('b', 1), y_w, y_l], [3, 4, 2, 1], 'replace')).toEqual(['b', 'l']);
    expect(pairOf([y('a', 0), y('b', 1), y_w, y_l], [3, 2, 4, 1], 'replace')).toEqual(['w', 'b']);
  });

  test('skips a tie of response and chosen, whatever the rejected scored', () => {
    expect(pairOf([y('y'), y_w, y_l], [2, 2, 1], 'replace')).toBe('all candidates tie');
  });

  test('takes the best and the worst of the samples when the prompt stands alone', () => {
    expect(pairOf([y('a', 0), y('b', 1)], [1, 2], 'replace')).toEqual(['b', 'a']);
  });
});

describe('rankedPairs() with all-pairs', () => {
  const pairsOf = (candidates: Candidate[], scores: number[], options: PairOptions = {}) =>
    rankedPairs(item(...candidates), rankingFromScores('p', scores), 'all-pairs', options).map(textsOf);

  test('pairs every two candidates in the order of the ranker', () => {
    expect(pairsOf([y('a', 0), y('b', 1), y_w], [1, 3, 2])).toEqual([
      ['b', 'a'],
      ['w', 'a'],
      ['b', 'w'],
    ]);
  });

  test('leaves out ties, equal texts and margins that are too small', () => {
    expect(pairsOf([y('a', 0), y('b', 1), y('a', 2)], [1, 1, 3])).toEqual([
      'all candidates tie',
      'equal texts',
      ['a', 'b'],
    ]);
    expect(pairsOf([y('a', 0), y('b', 1), y_w], [1, 1.5, 3], { minMargin: 1 })).toEqual([
      'margin too small',
      ['w', 'a'],
      ['w', 'b'],
    ]);
  });

  test('has no margin to compare where the ranker only orders', () => {
    const ranking = { promptId: 'p', scores: null, order: [1, 0], ties: [] };
    expect(rankedPairs(item(y('a'), y_w), ranking, 'best-and-worst', { minMargin: 0 }).map(textsOf)).toEqual([
      'no scores for a margin',
    ]);
  });
});

describe('unrankedPairs()', () => {
  test("puts the data's chosen over every response, as SPIN does", () => {
    const pairs = unrankedPairs(item(y('a', 0), y('b', 1), y_w, y_l), 'data-over-response');
    expect(pairs.map(textsOf)).toEqual([
      ['w', 'a'],
      ['w', 'b'],
    ]);
    expect(pairs[0]).toMatchObject({ scoreChosen: null, scoreRejected: null, response: { text: 'a' } });
  });

  test("keeps the data's pair", () => {
    expect(unrankedPairs(item(y_w, y_l), 'keep').map(textsOf)).toEqual([['w', 'l']]);
  });

  test('says so where the data have no pair', () => {
    expect(unrankedPairs(item(y('a')), 'data-over-response').map(textsOf)).toEqual(['no pair in the data']);
    expect(unrankedPairs(item(), 'keep').map(textsOf)).toEqual(['no pair in the data']);
  });
});

test.each([
  ['best-and-worst', true, true],
  ['replace', true, true],
  ['all-pairs', true, true],
  ['data-over-response', true, false],
  ['keep', false, false],
] as [PairRule, boolean, boolean][])('ruleNeeds() of %s: samples %s, ranking %s', (rule, samples, ranking) => {
  expect(ruleNeeds(rule)).toEqual({ samples, ranking });
});

describe('the response of the optimism term', () => {
  test.each([
    ['best', [3, 2, 1]],
    ['between', [2, 3, 1]],
    ['worst', [1, 2, 3]],
  ])('is the sample when it ranks %s', (_, scores) => {
    const pairing = buildPair(item(y('y'), y_w, y_l), rankingFromScores('p', scores), 'best-and-worst');
    expect(pairing).toMatchObject({ response: { text: 'y' } });
  });

  test('is the first of n samples, not the best', () => {
    const pairing = buildPair(item(y('a', 0), y('b', 1)), rankingFromScores('p', [1, 2]), 'best-and-worst');
    expect(pairing).toMatchObject({ response: { text: 'a', sampleIndex: 0 }, chosen: { text: 'b' } });
  });

  test('is the sample that the objective names', () => {
    const [pairing] = rankedPairs(item(y('a', 0), y('b', 1)), rankingFromScores('p', [1, 2]), 'best-and-worst', {
      explored: y('b', 1),
    });
    expect(pairing).toMatchObject({ response: { text: 'b', sampleIndex: 1 } });
  });

  test('is null where nothing was sampled', () => {
    const pairing = buildPair(item(y_w, y_l), rankingFromScores('p', [2, 1]), 'best-and-worst');
    expect(pairing).toMatchObject({ response: null, chosen: { text: 'w' } });
  });
});

describe('rankedPairs() of the responses alone', () => {
  const candidates = [y('common, good', 0), y('rare, good', 1), y('rare, bad', 2), y('common, bad', 3), y_w, y_l];
  const ranking = rankingFromScores('p', [0.9, 0.8, 0.1, 0.2, 1, 0]);
  const logProbs = new Map([
    [0, -0.5],
    [1, -2],
    [2, -3],
    [3, -1],
  ]);

  test("with diverse: the rarest of the better half over the commonest of the worse, whatever the data's pair", () => {
    const [pairing] = rankedPairs(item(...candidates), ranking, 'diverse', { logProbs });
    expect(textsOf(pairing)).toEqual(['rare, good', 'common, bad']);
  });

  test("with random: two responses in the ranker's order, every two of them about as often", () => {
    let state = 3;
    const draw = (): number => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const counts = new Map<string, number>();
    for (let time = 0; time < 600; time++) {
      const [pairing] = rankedPairs(item(...candidates), ranking, 'random', { draw });
      if (pairing?.kind !== 'pair') throw new Error('Every two responses differ in score');
      expect(pairing.scoreChosen).toBeGreaterThan(pairing.scoreRejected ?? 1);
      const pair = `${pairing.chosen.text} > ${pairing.rejected.text}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(40); // four standard errors
  });

  test('with best-over-random: the best response over each of the others', () => {
    const rejectedAt = (drawn: number): string | undefined => {
      const [pairing] = rankedPairs(item(...candidates), ranking, 'best-over-random', { draw: () => drawn });
      expect(textsOf(pairing)[0]).toBe('common, good');
      return textsOf(pairing)[1];
    };
    expect([0, 0.4, 0.99].map(rejectedAt)).toEqual(['rare, good', 'common, bad', 'rare, bad']);
  });

  test.each(['diverse', 'best-over-random', 'random'] as const)(
    'with %s: no pair of one response, nor of two that tie',
    (rule) => {
      expect(textsOf(buildPair(item(y('a'), y_w, y_l), rankingFromScores('p', [1, 2, 0]), rule))).toBe(
        'fewer than two candidates',
      );
      expect(textsOf(buildPair(item(y('a'), y('b', 1)), rankingFromScores('p', [1, 1]), rule))).toBe(
        'all candidates tie',
      );
    },
  );
});

test('marginWeights() are in proportion to the margins, and 1 on average', () => {
  expect(marginWeights([0.5, 1, 2.5])).toEqual([0.375, 0.75, 1.875]);
  expect(marginWeights([3])).toEqual([1]);
});

test('a pair without scores has no weight by margin, and is left out', () => {
  const ranked = { promptId: 'p', scores: null, order: [0, 1], ties: [] };
  const candidates = ['a', 'b'].map((text, sampleIndex) => ({ kind: 'response' as const, sampleIndex, text }));
  const item = { promptId: 'p', prompt: { kind: 'text' as const, text: 'x' }, candidates };
  expect(rankedPairs(item, ranked, 'best-and-worst', { pairWeights: 'margin' })).toEqual([
    { kind: 'skipped', promptId: 'p', reason: 'no scores for a margin' },
  ]);
  expect(rankedPairs(item, ranked, 'best-and-worst')).toMatchObject([{ kind: 'pair' }]);
});
