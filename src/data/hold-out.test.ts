import { expect, test } from 'vitest';
import { chooseHeldOut, withoutPrompts } from './hold-out.ts';
import type { ParsedRow } from './rows.ts';

const rowsOf = (ids: readonly string[]): ParsedRow[] =>
  ids.map((promptId, index) => ({
    kind: 'row',
    row: {
      promptId,
      prompt: { kind: 'text', text: promptId },
      chosen: 'a',
      rejected: 'b',
      source: { file: 'rows.jsonl', line: index + 1 },
    },
  }));
async function* stream(rows: readonly ParsedRow[]) {
  yield* rows;
}
const choose = async (ids: readonly string[], count: number, seed = 1): Promise<string[]> => {
  const rows = await chooseHeldOut(stream(rowsOf(ids)), { count, seed, onBadRow: 'stop' });
  return rows.map(({ promptId }) => promptId);
};
const names = Array.from({ length: 500 }, (_, index) => `prompt ${index}`);

test('chooseHeldOut() takes so many prompts, the same ones in any order of the rows, others for another seed', async () => {
  const chosen = await choose(names, 40);
  expect(new Set(chosen).size).toBe(40);
  expect(chosen).toEqual(names.filter((name) => chosen.includes(name)));
  expect((await choose(names.toReversed(), 40)).toReversed()).toEqual(chosen);
  expect(await choose(names, 40, 2)).not.toEqual(chosen);
});

test('chooseHeldOut() keeps most of its choice when rows are added', async () => {
  const before = await choose(names, 40);
  const after = await choose([...names, ...names.map((name) => `new ${name}`)], 40);
  // Half of the smallest hashes are of the old prompts, 20 on average with a deviation of 3: all of those were chosen before.
  const old = after.filter((name) => !name.startsWith('new'));
  expect(old.length).toBeGreaterThan(8);
  expect(before).toEqual(expect.arrayContaining(old));
});

test('withoutPrompts() leaves every row of a chosen prompt out, also where it comes again', async () => {
  const rows = rowsOf(['a', 'b', 'a', 'c', 'b']);
  const heldOut = await chooseHeldOut(stream(rows), { count: 2, seed: 3, onBadRow: 'stop' });
  const left: string[] = [];
  for await (const parsed of withoutPrompts(stream(rows), heldOut))
    if (parsed.kind === 'row') left.push(parsed.row.promptId);
  expect(heldOut.every(({ chosen, rejected }) => chosen === null && rejected === null)).toBe(true);
  expect(new Set([...left, ...heldOut.map(({ promptId }) => promptId)])).toEqual(new Set(['a', 'b', 'c']));
  expect(left.some((id) => heldOut.some(({ promptId }) => promptId === id))).toBe(false);
});

test('chooseHeldOut() leaves something to train on', async () => {
  await expect(choose(['a', 'b', 'a'], 2)).rejects.toMatchObject({ code: 'HOLD_OUT_TOO_MANY', exitCode: 2 });
});
