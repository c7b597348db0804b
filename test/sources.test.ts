/** @file A run of two sources: how many rows of each, measured apart, under licences that the ledger and the card keep. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-sources-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
for (const name of ['many', 'few'])
  writeFileSync(
    join(root, `${name}.jsonl`),
    Array.from({ length: 8 }, (_, i) => `{"prompt":"${name} times ${i}"}\n`).join(''),
  );

const data = {
  train: ['many.jsonl', 'few.jsonl'],
  counts: [4, 2],
  license: ['cc-by-4.0', 'mit'],
  allowLicenses: ['MIT', 'cc-by-4.0'],
};

it('two sources give the rows that are asked of them; metrics name the source, ledger and card the licences', async () => {
  const changes = {
    data,
    iterations: 1,
    output: join(root, 'run'),
    sampling: { samples: 2, temperature: 1, maxNewTokens: 8 },
  };
  await runRecipe(loadRecipe(writeSmallRecipe(root, changes)));
  using ledger = openLedger(join(root, 'run', 'run.db'), { access: 'read' });
  const audit = ledger.record(0, 'data-audit')?.text ?? '';
  expect(audit).toContain('Sources: many 4 of 8 usable rows, few 2 of 8 usable rows');
  expect(audit).toContain('Licences: many.jsonl cc-by-4.0, few.jsonl mit');
  const names = ledger.metrics().flatMap(({ values }) => Object.keys(values));
  for (const name of ['many', 'few']) expect(names).toContain(`rewards/margins/${name}`);
  const card = readFileSync(join(root, 'run', 'iteration-1', 'model', 'README.md'), 'utf8');
  expect(card).toMatch(/\| many\.jsonl \| cc-by-4\.0 \|/);
  expect(card).toMatch(/\| few\.jsonl \| mit \|/);
});

it('a source whose licence is not allowed, or not known, is refused by its name before anything runs', () => {
  const load = (license: readonly string[] | null) => () =>
    loadRecipe(writeSmallRecipe(root, { data: { ...data, license } }));
  expect(load(['cc-by-4.0', 'cc-by-nc-4.0'])).toThrow(/the licence is cc-by-nc-4.0: leave .*few.jsonl out/);
  expect(load(null)).toThrow(/nothing is known of the licence of .*many.jsonl: say it in license/);
});
