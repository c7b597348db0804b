/**
 * @file What PairRM's benchmark ranks: triples of candidates in all six orders, as long as UltraFeedback's rows are, in a file that both
 * programs read. Ids are random: they do not change the time.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { permutation, randomKey, uniformAt } from '../src/random.ts';
import { pairIds } from '../src/rank/model/pairrm-input.ts';
import { ultraFeedbackRows } from './ultrafeedback.ts';

/** One triple: six sequences, and where the head reads each. */
export interface Triple {
  sequences: { ids: number[]; markers: [number, number, number] }[];
}

/** Characters that a token of DeBERTa-v3's vocabulary has in English, about. */
const CHARACTERS_PER_TOKEN = 4.3;
/** PairRM's limits, as its configuration has them. */
const LIMITS = { source: 1224, candidate: 412 };
const TOKENS = { start: 1, end: 2, source: 128_001, left: 128_002, right: 128_003 };
const WORDS = 128_000;

/** Lengths in tokens of a prompt and three answers: UltraFeedback has two to a prompt, the third is as long as their mean. */
function lengths(row: { prompt: string; answers: readonly [string, string] }): {
  source: number;
  candidates: number[];
} {
  const tokens = (characters: number): number => Math.max(1, Math.ceil(characters / CHARACTERS_PER_TOKEN));
  const [first, second] = row.answers.map((answer) => answer.length) as [number, number];
  const source = Math.min(tokens(row.prompt.length) + 3, LIMITS.source);
  const room = Math.floor((LIMITS.source + 2 * LIMITS.candidate - source) / 2) - 2;
  return { source, candidates: [first, second, (first + second) / 2].map((each) => Math.min(tokens(each), room)) };
}

/** Writes `count` triples, from rows spread evenly over all rows sorted by length, in an order that `seed` shuffles. Returns the file and its tokens. */
export function writeTriples(count: number, seed: number): { path: string; tokens: number; longest: number } {
  const key = randomKey(seed, 'pairrm bench');
  let drawn = 0;
  const draw = (below: number): number => Math.floor(uniformAt(key, drawn++) * below);
  const ids = (length: number): number[] => Array.from({ length }, () => 5 + draw(WORDS - 5));
  const all = ultraFeedbackRows()
    .map(lengths)
    .sort((a, b) => sum([a.source, ...a.candidates]) - sum([b.source, ...b.candidates]));
  const picked = Array.from({ length: count }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / count)]);
  const order = permutation(count, randomKey(seed, 'pairrm bench', 'order'));
  const triples = Array.from(order, (index): Triple => {
    const each = picked[index];
    const source = [TOKENS.start, TOKENS.source, ...ids((each?.source ?? 3) - 3), TOKENS.end];
    const candidates = each?.candidates.map(ids) ?? [];
    return {
      sequences: candidates.flatMap((left, i) =>
        candidates.flatMap((right, j) => (i === j ? [] : [pairIds(TOKENS, { source, left, right })])),
      ),
    };
  });
  const path = join(mkdtempSync(join(tmpdir(), 'selm-bench-')), 'triples.json');
  writeFileSync(path, JSON.stringify(triples));
  const sizes = triples.flatMap(({ sequences }) => sequences.map((each) => each.ids.length));
  return { path, tokens: sum(sizes), longest: Math.max(...sizes) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
