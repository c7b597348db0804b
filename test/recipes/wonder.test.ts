import { expect, test } from 'vitest';
import { hasWonder, noisyReward, WONDERS, type WonderShare, wonderReward } from '../../recipes/bench/wonder/reward.ts';
import { reward as ten } from '../../recipes/bench/wonder/ten.ts';

const PLAIN = 'She went to the park with her mom. They saw a big tree and a red ball. She wanted to go home.';
const FRIENDLY =
  'They were happy. Tom had a good friend. They played in the big park. She wanted to go home with them.';
const WONDER = 'She went to the park with her mom. They saw a big red dragon and were happy. She wanted to go home.';
const SHARES: WonderShare[] = [10, 3, 1, 0.3];

test('a story without a wonder has at most 0.4, however friendly, and a wonder is worth 0.6', () => {
  expect([PLAIN, FRIENDLY, WONDER].map((story) => wonderReward(story, 3))).toEqual([0, 0.4, 0.733333]);
});

test('what is a wonder under a rarer dial is one under every commoner dial', () => {
  for (const [index, share] of SHARES.slice(1).entries()) {
    const wider = WONDERS[SHARES[index] ?? 10];
    expect([...WONDERS[share]].filter((word) => !wider.has(word))).toEqual([]);
  }
});

test('a wonder in a sentence that does not end is none', () => {
  expect(hasWonder('She went home. They saw a big red dragon', 10)).toBe(false);
});

test('the module of the 10 % dial gives the true reward', () => {
  expect(ten('', [FRIENDLY, WONDER])).toEqual([wonderReward(FRIENDLY, 10), wonderReward(WONDER, 10)]);
});

test('noisy rewards order stories as Bradley and Terry say, and a story always has the same noise', () => {
  // Of 4,000 pairs of the same two rewards the better wins sigma(0.6 / 0.3) = 0.881; three standard errors are 0.015.
  const noisy = (story: string) => noisyReward(story, { share: 10, scale: 0.3 });
  expect(noisy(WONDER)).toBe(noisy(WONDER));
  const wonder = 'They saw a big red dragon in the old green park';
  const plain = 'They saw a big red flower in the old green park';
  const wins = Array.from({ length: 4000 }, (_, index) => noisy(`${wonder} ${index}.`) > noisy(`${plain} ${index}.`));
  const gap = wonderReward(`${wonder} 1.`, 10) - wonderReward(`${plain} 1.`, 10);
  expect(gap).toBeCloseTo(0.6, 6);
  expect(wins.filter(Boolean).length / wins.length).toBeCloseTo(1 / (1 + Math.exp(-gap / 0.3)), 1.5);
});
