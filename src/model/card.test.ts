import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { formatModelCard, licenceOf, licenceText, markdownTable, modelName } from './card.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-card-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** A model folder with this README.md. */
function folderWith(card: string | null): string {
  const folder = join(root, String(count++));
  mkdirSync(folder);
  if (card !== null) writeFileSync(join(folder, 'README.md'), card);
  return folder;
}

test('formatModelCard() writes metadata in the form of Hugging Face, then the text', () => {
  const card = formatModelCard({
    title: 'tiny, iteration 1 of 3',
    baseModel: 'org/base',
    licence: { license: 'apache-2.0' },
    library: 'peft',
    tags: ['selm', 'dpo'],
    datasets: ['org/pairs'],
    summary: 'What it is.',
    sections: [
      { title: 'Method', text: 'How it was made.\n' },
      { title: 'Licence', text: 'Whose.' },
    ],
  });
  expect(card).toBe(`---
base_model: org/base
base_model_relation: adapter
license: apache-2.0
library_name: peft
pipeline_tag: text-generation
tags:
  - selm
  - dpo
datasets:
  - org/pairs
---

# tiny, iteration 1 of 3

What it is.

## Method

How it was made.

## Licence

Whose.
`);
});

test('formatModelCard() gives the Hub no base_model that it cannot link', () => {
  const facts = { title: 'x', licence: { license: 'mit' }, tags: [], datasets: [], summary: '', sections: [] };
  const card = formatModelCard({ ...facts, baseModel: 'my-folder', library: 'peft' });
  expect(card).toMatch(/^---\nbase_folder: my-folder\nlicense: mit\n/);
});

test.each([
  ['no card', null, { license: 'other', license_name: 'unknown' }],
  ['a card without metadata', '# A model\n', { license: 'other', license_name: 'unknown' }],
  ['a card that is no YAML', '---\na: [\n---\n', { license: 'other', license_name: 'unknown' }],
  [
    'an alias bomb',
    '---\na: &a [x, x]\nb: [*a, *a]\nlicense: mit\n---\n',
    { license: 'other', license_name: 'unknown' },
  ],
  ['a licence that is no name', '---\nlicense: "x\\ny: z"\n---\n', { license: 'other', license_name: 'unknown' }],
  ['a licence', '---\r\nlicense: mit\r\n---\r\n', { license: 'mit' }],
  [
    'a licence of its own',
    '---\nlicense: other\nlicense_name: llama-3\nlicense_link: LICENSE\n---\n# Llama\n',
    { license: 'other', license_name: 'llama-3', license_link: 'LICENSE' },
  ],
])('licenceOf() of %s', (_, card, licence) => {
  expect(licenceOf(folderWith(card))).toEqual(licence);
});

test('licenceText() warns where the licence is not known', () => {
  expect(licenceText('base', { license: 'other', license_name: 'unknown' })).toMatch(
    /^Unknown: .* Find it before you share/,
  );
  expect(licenceText('base', { license: 'mit' })).toMatch(/^mit, as the card of the base model base says/);
});

test('modelName() knows the folders of the Hub cache, and calls others by their last part', () => {
  expect(modelName('/home/a/.cache/huggingface/hub/models--org--some-model/snapshots/0123abc')).toBe('org/some-model');
  expect(modelName('/models/stories260K')).toBe('stories260K');
});

test('modelName() of a model made here is its base, and of another with a card its folder', () => {
  expect(modelName(folderWith('---\nbase_model: org/base\ntags:\n  - selm\n---\n'))).toBe('org/base');
  expect(modelName(folderWith('---\nbase_folder: base\ntags:\n  - selm\n---\n'))).toBe('base');
  const other = folderWith('---\nbase_model: org/base\ntags:\n  - dpo\n---\n');
  expect(other.endsWith(modelName(other))).toBe(true);
});

test('markdownTable() keeps a cell a cell', () => {
  expect(markdownTable(['a', 'b'], [['1|2', 'x\ny']])).toBe('| a | b |\n| --- | --- |\n| 1\\|2 | x y |');
});
