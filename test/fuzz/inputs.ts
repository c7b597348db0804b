/** @file Where inputs come from: the committed corpus, mutated by number; and where finds are kept. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../../src/files/hash.ts';
import { randomKey } from '../../src/random.ts';
import { Draws } from './mutate.ts';
import type { Target } from './targets.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Files of `corpus/NAME` or `regressions/NAME`, by name. */
export function savedInputs(kind: 'corpus' | 'regressions', target: string): { name: string; bytes: Uint8Array }[] {
  const folder = join(here, kind, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(join(folder, name))) }));
}

/** Input `index` of a seed: a file of the corpus, changed. */
export function inputAt(
  name: string,
  target: Target,
  { seed, index, corpus }: { seed: number; index: number; corpus: readonly Uint8Array[] },
): Uint8Array {
  const draws = new Draws(randomKey(seed, 'fuzz', name, index));
  return target.mutate(draws.pick(corpus), draws, corpus);
}

/** Keeps a find among the regressions, under its hash; returns its path. */
export function saveFind(target: string, bytes: Uint8Array): string {
  const folder = join(here, 'regressions', target);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, sha256(bytes).slice(0, 16));
  writeFileSync(path, bytes);
  return path;
}
