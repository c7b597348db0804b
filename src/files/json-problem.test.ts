import { expect, test } from 'vitest';
import { jsonProblem } from './json-problem.ts';

const problemOf = (text: string): string => {
  try {
    JSON.parse(text);
  } catch (error) {
    return jsonProblem(text, error);
  }
  return 'it is JSON';
};

test.each([
  ['{"score": NaN}', 'it holds NaN, which'],
  ['{"say": "NaN \\" {", "score": [1, -Infinity]}', 'it holds -Infinity, which'],
])('jsonProblem() names the number of %s that JSON has not', (text, says) => {
  expect(problemOf(text)).toContain(says);
});

test.each(['{"score": NaN', '{"a" 1}', 'NaN of a text'])(
  "jsonProblem() leaves other mistakes to the parser's words: %s",
  (text) => {
    expect(problemOf(text)).not.toContain('it holds');
  },
);
