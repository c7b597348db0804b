import { expect, test } from 'vitest';
import { formatDuration, formatNumber, formatRate, formatTable, oneLine } from './format.ts';

test.each([
  [0.04, '0.0 s'],
  [9.96, '10 s'],
  [59.4, '59 s'],
  [185, '3 min 5 s'],
  [7_800, '2 h 10 min'],
])('formatDuration() of %d is %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test.each([
  [1234, '1,234/s'],
  [3.14, '3.1/s'],
  [0.25, '15/min'],
  [0.05, '3.0/min'],
])('formatRate() of %d is %s', (rate, text) => {
  expect(formatRate(rate)).toBe(text);
});

test.each([
  [Math.LN2, '0.6931'],
  [-123.44, '-123.4'],
  [5e-7, '5.00e-7'],
  [128, '128'],
  [undefined, ''],
  [Number.NaN, 'NaN'],
])('formatNumber() of %s is %s', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

test('oneLine() takes the cursor movements out of a response', () => {
  expect(oneLine('Once\x1b[2J upon\r\na\ttime', 40)).toBe('Once�[2J upon a time');
});

test('oneLine() cuts to the width', () => {
  expect(oneLine('abcdefgh', 5)).toBe('abcd…');
});

test('formatTable() aligns numbers right and texts left', () => {
  const rows = [
    ['a', '1'],
    ['bcd', '10.5'],
  ];
  expect(formatTable(['id', 'score'], rows)).toBe('id   score\na        1\nbcd   10.5');
});
