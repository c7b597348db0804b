import { expect, test } from 'vitest';
import { Answers } from './answers.ts';

test('an answer is made once while its version stays, and for a second after it changed', async () => {
  let now = 0;
  let made = 0;
  const answers = new Answers(() => now);
  const ask = (version: number) => answers.of('curves', version, () => ++made);
  expect([await ask(1), await ask(1), await ask(2)]).toEqual(['1', '1', '1']);
  now = 1000;
  expect([await ask(2), await ask(2), await ask(3)]).toEqual(['2', '2', '2']);
  now = 5000;
  expect(await ask(2)).toBe('2');
});

test('pages that ask at the same time wait for one answer, and a failure is not kept', async () => {
  let made = 0;
  const answers = new Answers();
  const fail = async () => {
    made += 1;
    throw new Error('no');
  };
  await Promise.allSettled([answers.of('a', 1, fail), answers.of('a', 1, fail)]);
  expect(made).toBe(1);
  expect(await answers.of('a', 1, () => 'yes')).toBe('"yes"');
});

test('what took long to make is good for longer, five seconds at most', async () => {
  let now = 0;
  const answers = new Answers(() => now);
  let takesMs = 12;
  const ask = (version: number) =>
    answers.of('curves', version, () => {
      now += takesMs;
      return version;
    });
  await ask(1);
  now = 2900;
  expect(await ask(2)).toBe('1');
  takesMs = 1000;
  now = 3001;
  expect(await ask(3)).toBe('3');
  now = 3001 + 4999;
  expect(await ask(4)).toBe('3');
  now = 3001 + 5000;
  expect(await ask(5)).toBe('5');
});
