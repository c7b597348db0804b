import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { loadTask, placeTask, type TaskRequest, taskOf } from './tasks.ts';

/** Rows of ARC in a folder: `test` are asked, `train` are examples. */
function folderOf(files: Record<string, Record<string, unknown>[]>): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'arc_challenge'));
  for (const [name, rows] of Object.entries(files)) {
    writeFileSync(
      join(folder, 'arc_challenge', `${name}.jsonl`),
      rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
    );
  }
  return folder;
}

const row = (question: string) => ({ question, choices: ['a', 'b'], gold: 0 });
const rows = (count: number) => Array.from({ length: count }, (_, i) => row(`question ${i}`));
const load = async (folder: string, request: Partial<TaskRequest> = {}) =>
  loadTask(await placeTask(taskOf({ name: 'arc-challenge', shots: 2, ...request }), { folder }));

describe('loadTask', () => {
  it('counts the rows that are asked, and those of them that cannot be', async () => {
    const folder = folderOf({
      test: [...rows(3), { question: 'no gold', choices: ['a', 'b'] }, ...rows(5)],
      train: rows(4),
    });
    expect(await load(folder, { limit: 5 })).toMatchObject({ items: 4, unusable: 1, maxNewTokens: 0 });
  });

  it('refuses a folder without rows, rows without answers, and too few examples, before a model is asked', async () => {
    await expect(load(folderOf({ train: rows(4) }))).rejects.toMatchObject({ code: 'BENCHMARK_ROWS_MISSING' });
    const noGold = folderOf({ test: [{ question: 'no gold', choices: ['a', 'b'] }] });
    await expect(load(noGold)).rejects.toThrow(
      /none of the 1 rows .* \(of the first, it does not say which choice is right\)/,
    );
    await expect(load(folderOf({ test: rows(3), train: rows(1) }))).rejects.toMatchObject({ code: 'EVALUATION_SHOTS' });
  });

  it('draws examples from rows that are not asked, too, where there are no training rows', async () => {
    expect(await load(folderOf({ test: rows(9) }), { shots: 5, limit: 2 })).toMatchObject({ items: 2 });
  });

  it('is known by what is asked: rows, their number and the examples', async () => {
    const of = async (files: Parameters<typeof folderOf>[0], request: Partial<TaskRequest> = {}) =>
      (await load(folderOf(files), request)).sha256;
    const first = await of({ test: rows(3), train: rows(4) });
    expect(await of({ test: rows(3), train: rows(4) })).toBe(first);
    const others = [
      await of({ test: rows(4), train: rows(4) }),
      await of({ test: rows(3), train: rows(5) }),
      await of({ test: rows(3), train: rows(4) }, { limit: 2 }),
      await of({ test: rows(3), train: rows(4) }, { shots: 1 }),
    ];
    expect(new Set([first, ...others]).size).toBe(5);
  });
});

it('a benchmark that does not exist is named, with those that do', () => {
  expect(() => taskOf({ name: 'helaswag' })).toThrow(/there is no such benchmark: allowed are .*hellaswag/);
});
