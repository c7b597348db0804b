/** @file The tables of docs/experiments are those that the recorded runs beside them give: what `--recorded` prints. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compareMethods } from '../src/exploration-bench/comparison.ts';
import { loadLanguageGrid } from '../src/exploration-bench/language/grid.ts';
import { readRecord } from '../src/exploration-bench/record.ts';
import { comparisonTables } from '../src/exploration-bench/tables.ts';
import { packageRoot } from '../src/files/package-root.ts';

const page = readFileSync(join(packageRoot, 'docs', 'experiments', 'dial-tables.md'), 'utf8');
const COMMAND = /^ {4}selm bench exploration (\S+) --recorded (\S+)$/m;

/** A section with a recorded benchmark: its heading, the command's two files, and the rows of its tables. */
const sections = page.split('\n## ').flatMap((section) => {
  const [, grid, record] = COMMAND.exec(section) ?? [];
  if (grid === undefined || record === undefined) return [];
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  return [{ heading: section.split('\n')[0] ?? '', grid, record, rows }];
});

it.each(sections)('dial-tables.md, $heading: every row is in what $record gives', ({ grid: file, record, rows }) => {
  const grid = loadLanguageGrid(join(packageRoot, file));
  const tables = comparisonTables(grid, compareMethods(grid, readRecord(join(packageRoot, record), grid.name, grid)));
  const printed = new Set(tables.split('\n'));
  expect(rows.length).toBeGreaterThan(2);
  expect(rows.filter((row) => !printed.has(row))).toEqual([]);
});
