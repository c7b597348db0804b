/** @file What a judge's budget sets aside: that requests side by side cannot pass it, and that none waits for ever. */
import { expect, test } from 'vitest';
import { type MoneyBudget, openBudget, type Reservation, worstCost } from './budget.ts';
import type { JudgeRequest } from './client.ts';

const request: JudgeRequest = {
  model: 'judge',
  messages: [{ role: 'user', content: 'é'.repeat(30) }],
  temperature: null,
  maxTokens: 20,
  logProbs: 'no',
};
const nothing = { calls: 0, promptTokens: 0, completionTokens: 0 };
/** A request costs at most one: 80 prompt tokens (4 + 60 bytes, 16 around them) and 20 of the answer. */
const prices: MoneyBudget = { limit: 3, promptPrice: 10_000, completionPrice: 10_000 };
const usage = { promptTokens: 80, completionTokens: 20 };

function expectReserved(reserved: Reservation | string): Reservation {
  if (typeof reserved === 'string') throw new Error(reserved);
  return reserved;
}

test('the worst case of a request is a token a byte, what a template adds, and the longest answer', () => {
  expect(worstCost(request, prices)).toBe(1);
});

test('requests are let go side by side while all of them fit, and the others wait for what they cost', async () => {
  const keeper = openBudget({ calls: null, money: prices }, nothing);
  const ask = () => keeper.reserve(request, () => {});
  const first = expectReserved(await ask());
  // The first alone: it shows how the server counts. It takes a half of what it might.
  const others = [ask(), ask(), ask()];
  const settled: number[] = [];
  others.forEach((each, index) => void each.then(() => settled.push(index)));
  first.settle({ promptTokens: 40, completionTokens: 10 });
  const [second, third] = [expectReserved(await (others[0] ?? '')), expectReserved(await (others[1] ?? ''))];
  expect(settled).toEqual([0, 1]);
  second.settle(usage);
  third.settle({ promptTokens: 0, completionTokens: 0 });
  // 1.5 are used: one more fits, and no other beside it or after it.
  const fourth = expectReserved(await (others[2] ?? ''));
  const fifth = ask();
  fourth.settle(usage);
  expect(await fifth).toContain('2.5000 of its budget of 3 is used, and the next request may cost 1.0000');
});

test('a server that counts more than was sent is believed, and a reply without a count took the most it could', async () => {
  const keeper = openBudget({ calls: null, money: prices }, nothing);
  const ask = () => keeper.reserve(request, () => {});
  expectReserved(await ask()).settle({ promptTokens: 180, completionTokens: 20 });
  expect(await ask()).toContain('may cost 2.0000');

  const silent = openBudget({ calls: null, money: prices }, nothing);
  for (let i = 0; i < 3; i++) expectReserved(await silent.reserve(request, () => {})).settle(null);
  expect(await silent.reserve(request, () => {})).toContain('is spent (3.0000 used)');
});

test('a refusal takes a call and no money; a server that was not reached takes neither', async () => {
  const keeper = openBudget({ calls: 2, money: prices }, nothing);
  const ask = () => keeper.reserve(request, () => {});
  expectReserved(await ask()).forget();
  for (let i = 0; i < 2; i++) expectReserved(await ask()).release();
  expect(await ask()).toContain('its budget of 2 calls is spent');
});

test('who waits for the budget hears that the work has ended', async () => {
  const keeper = openBudget({ calls: null, money: prices }, nothing);
  const first = expectReserved(await keeper.reserve(request, () => {}));
  let ended = false;
  const waiting = keeper.reserve(request, () => {
    if (ended) throw new Error('ended');
  });
  ended = true;
  first.release();
  await expect(waiting).rejects.toThrow('ended');
});
