/**
 * @file Takes prompts out of the training rows, so that a run can be measured on prompts that it was not trained on. A
 * hash of the seed and the prompt's id chooses them: they are the same whatever the order of the rows, and mostly the
 * same when rows are added. Every row of a chosen prompt leaves the training, repeated ones too.
 */
import { DataError } from '../errors.ts';
import { sha256 } from '../files/hash.ts';
import { type BadRowRule, badRowError } from './read.ts';
import type { ParsedRow, PreferenceRow } from './rows.ts';

/** How many prompts, and the seed that chooses them. */
export interface HoldOutOptions {
  count: number;
  seed: number;
  onBadRow: BadRowRule;
}

/** Chosen prompts in the order of the file, each with its first row and no responses. DataError where there are too few. */
export async function chooseHeldOut(
  rows: AsyncIterable<ParsedRow>,
  { count, seed, onBadRow }: HoldOutOptions,
): Promise<PreferenceRow[]> {
  // The smallest hashes so far, and whether a prompt was seen.
  let best: { hash: string; place: number; row: PreferenceRow }[] = [];
  const seen = new Set<string>();
  for await (const parsed of rows) {
    if (parsed.kind === 'problem') {
      if (onBadRow === 'stop') throw badRowError(parsed);
      continue;
    }
    const { promptId, prompt, source } = parsed.row;
    const hash = sha256(`hold-out\n${seed}\n${promptId}`);
    if (seen.has(hash)) continue;
    seen.add(hash);
    best.push({ hash, place: seen.size, row: { promptId, prompt, chosen: null, rejected: null, source } });
    if (best.length >= 2 * count + 64) best = smallest(best, count);
  }
  if (seen.size <= count) {
    throw new DataError(
      'HOLD_OUT_TOO_MANY',
      `Cannot hold out ${count} prompts: the training data have ${seen.size} distinct ones: lower evaluate.holdOut`,
      { details: { count, prompts: seen.size } },
    );
  }
  return smallest(best, count)
    .sort((a, b) => a.place - b.place)
    .map(({ row }) => row);
}

/** Rows of other prompts than the held-out ones. */
export async function* withoutPrompts(
  rows: AsyncIterable<ParsedRow>,
  heldOut: readonly Pick<PreferenceRow, 'promptId'>[],
): AsyncGenerator<ParsedRow> {
  const ids = new Set(heldOut.map(({ promptId }) => promptId));
  for await (const parsed of rows) if (parsed.kind === 'problem' || !ids.has(parsed.row.promptId)) yield parsed;
}

function smallest<Chosen extends { hash: string }>(chosen: readonly Chosen[], count: number): Chosen[] {
  return chosen.toSorted((a, b) => (a.hash < b.hash ? -1 : 1)).slice(0, count);
}
