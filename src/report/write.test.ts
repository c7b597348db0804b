/** @file A report as Markdown and JSON: the same numbers as the page, text that stays text, and where it is written. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { fixed, numbersOf, verdicts } from './findings.ts';
import { reportMarkdown } from './markdown.ts';
import { reportFixture } from './report-fixture.testing.ts';
import { asMarkdown, sheetMarkdown } from './sheet.ts';
import { writeReport } from './write.ts';

const data = reportFixture();

it('reportMarkdown() has the verdicts, and of every policy the numbers with interval and n', () => {
  const text = reportMarkdown(data);
  for (const line of verdicts(data)) expect(text).toContain(`- ${asMarkdown(line)}`);
  const last = numbersOf(data)[0]?.policies.at(-1);
  const reward = last?.reward;
  expect(text).toContain(
    `| SELM, iteration 3 | ${fixed(reward?.value ?? 0, 3)} ([${fixed(reward?.low ?? 0, 3)}, ${fixed(reward?.high ?? 0, 3)}], n = ${reward?.count}) |`,
  );
  expect(text.match(/^## .*/gm)).toEqual(
    expect.arrayContaining([
      '## Numbers of every policy',
      '## Where the pairs came from',
      '## Training',
      '## Settings',
      '## Time',
    ]),
  );
});

it('every table of it has as many cells in each row as in its head', () => {
  const tables = reportMarkdown(data)
    .split(/\n(?!\|)/)
    .filter((block) => block.includes('\n|'));
  expect(tables.length).toBeGreaterThan(3);
  for (const block of tables) {
    const widths = block
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split(/(?<!\\)\|/).length);
    expect(new Set(widths).size, block).toBe(1);
  }
});

it('text of users is text in it: no markup, no rows or links of its own', () => {
  const hostile = 'a | b <script>x</script>\n# head [link](javascript:x) `code` **bold**';
  const text = reportMarkdown(reportFixture({ title: hostile, notes: [hostile] }));
  const line = text.split('\n')[0] ?? '';
  expect(line).toBe('# a \\| b \\<script\\>x\\</script\\> # head [link\\](javascript:x) \\`code\\` \\*\\*bold\\*\\*');
  expect(sheetMarkdown({ head: [{ text: 'a|b', hint: '' }], rows: [] })[0]).toBe('| a\\|b |');
});

it('writeReport() writes page, Markdown and JSON beside each other, or the one that the ending names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selm-report-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeReport(join(folder, 'report.html'), data);
  expect(readdirSync(folder).sort()).toEqual(['report.html', 'report.json', 'report.md']);
  const json = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as {
    formatVersion: number;
    numbers: unknown[];
  };
  expect([json.formatVersion, json.numbers.length]).toEqual([1, 2]);
  writeReport(join(folder, 'now.md'), data);
  expect(readFileSync(join(folder, 'now.md'), 'utf8')).toBe(readFileSync(join(folder, 'report.md'), 'utf8'));
  expect(readdirSync(folder)).toHaveLength(4);
});
