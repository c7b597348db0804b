/** @file A benchmark of a language model as it runs: processes of its own, numbers kept, folders gone, nothing done twice. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compareMethods } from '../../src/exploration-bench/comparison.ts';
import { languageResults, runLanguageBench } from '../../src/exploration-bench/language/bench.ts';
import { loadLanguageGrid } from '../../src/exploration-bench/language/grid.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';

it('runs what is missing, keeps its numbers, and goes on after a stop', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'grid.yaml');
  writeFileSync(
    file,
    `name: small
recipe: ${join(packageRoot, 'recipes', 'bench', 'wonder.yaml')}
seeds: { first: 1, count: 2 }
labels: 32
labelsAnIteration: 16
tokens: 3072
rareFrom: 0.5
worlds: [{ name: ten, set: { evaluate.limit: 20 } }]
baseline: dpo
drawn: [dpo]
methods:
  - { name: dpo }
  - { name: two of four, set: { sampling.samples: 4, select: { answers: delta-ucb, beliefs: reward-model, randomShare: 0 } } }
`,
  );
  const grid = loadLanguageGrid(file, { workingDirectory: folder });
  const stop = new AbortController();
  const done: string[] = [];
  const progress = (count: number, total: number): void => {
    done.push(`${count} of ${total}`);
    stop.abort();
  };
  expect(await runLanguageBench(grid, { parallel: 1, signal: stop.signal, progress })).toBe(1);
  const { signal } = new AbortController();
  expect(await runLanguageBench(grid, { parallel: 2, signal, progress })).toBe(3);
  expect(await runLanguageBench(grid, { parallel: 1, signal, progress })).toBe(0);
  expect(done).toEqual(['1 of 4', '2 of 4', '3 of 4', '4 of 4']);

  const results = languageResults(grid).get('ten') ?? [];
  for (const cell of results) {
    // Two iterations of 16 labels: pairs of samples of 16 prompts, or two of four samples each.
    expect(cell.dpo?.points.map(({ labels, sampled }) => [labels, sampled])).toEqual([
      [0, 0],
      [16, 32],
      [32, 64],
    ]);
    expect(cell['two of four']?.points.map(({ labels, sampled }) => [labels, sampled])).toEqual([
      [0, 0],
      [16, 64],
      [32, 128],
    ]);
    expect(cell.dpo?.points.at(-1)?.klToBase).toBeGreaterThan(0);
  }
  expect(compareMethods(grid, languageResults(grid)).overall.map(({ seeds }) => seeds)).toEqual([2, 2]);
  expect(existsSync(join(grid.output, 'runs', 'ten', 'dpo', 'seed-1'))).toBe(false);
  expect(readFileSync(join(grid.output, 'cells', 'ten', 'seed-1.json'), 'utf8')).toContain('"two of four"');
}, 600_000);
