/** @file The record of a benchmark's runs: what it keeps, and what it refuses. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { readRecord, recordText } from './record.ts';
import type { RunResult } from './run.ts';

const GRID = {
  seeds: [1, 2],
  baseline: 'dpo',
  worlds: [{ name: '3 %', budget: { labels: 8 } }],
  methods: [{ name: 'dpo' }, { name: 'other' }],
};

const point = { labels: 8, sampled: 16, reward: 0.25, rareShare: 0.5, klToBase: 2, entropy: null };
const RUN: RunResult = {
  points: [point, { ...point, text: { tokens: 90, distinct2: 0.5, soundness: null, benchmarks: { arc: 0.25 } } }],
  rare: { sampled: 3, paired: 2, chosen: 1 },
  best: 1,
  regret: 6,
};

function fileOf(text: string): string {
  const file = join(temporaryFolder(), 'runs.json');
  writeFileSync(file, text);
  return file;
}

it('gives back what was recorded; a run that is missing stays missing', () => {
  const results = new Map([['3 %', [{ dpo: RUN }, {}]]]);
  const file = fileOf(recordText('dial', GRID, results));
  expect(readRecord(file, 'dial', GRID)).toEqual(results);
});

it.each([
  ['what is no JSON', '{', 'give a runs.json'],
  ['a record of another version', '{"formatVersion":2}', 'formatVersion'],
  ['a record of another benchmark', recordText('tabular', GRID, new Map()), 'it is of benchmark "tabular"'],
])('refuses %s', (_, text, message) => {
  expect(() => readRecord(fileOf(text), 'dial', GRID)).toThrow(message);
});
