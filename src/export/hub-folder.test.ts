import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { sharedModel } from './hub-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-shared-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

function folderOf(files: Record<string, string>): string {
  const folder = join(root, String(count++));
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const card = (base: string): string => `---\n${base}\nlicense: apache-2.0\nlibrary_name: transformers\n---\n\n# It\n`;
const model = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': 'w', 'notes.bin': 'x' };

function textOf(shared: ReturnType<typeof sharedModel>, path: string): string {
  const content = shared.files.find((file) => file.path === path)?.content;
  return content?.kind === 'text' ? content.text : '';
}

it('a whole model goes with its settings, tokenizer and card as they are, and nothing else', () => {
  const shared = sharedModel(folderOf({ ...model, 'README.md': card('base_model: org/base') }), { base: null });
  expect(shared).toMatchObject({ kind: 'model', base: 'org/base', licence: { license: 'apache-2.0' } });
  expect(shared.files.map(({ path }) => path)).toEqual([
    'README.md',
    'config.json',
    'model.safetensors',
    'tokenizer.json',
  ]);
  expect(shared.files.every(({ content }) => content.kind === 'file')).toBe(true);
});

it('a base that was a folder is named by its name on the Hub', () => {
  const shared = sharedModel(folderOf({ ...model, 'README.md': card('base_folder: stories') }), {
    base: 'org/stories',
  });
  expect(textOf(shared, 'README.md')).toBe(
    '---\nlicense: apache-2.0\nlibrary_name: transformers\nbase_model: org/stories\n---\n\n# It\n',
  );
});

const adapter = (base: string): string =>
  JSON.stringify({ peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'], base_model_name_or_path: base });

it('an adapter names its base where PEFT looks for it, or is refused without a name', () => {
  const files = { 'adapter_model.safetensors': 'w', 'adapter_config.json': adapter('/home/me/base') };
  expect(() => sharedModel(folderOf(files), { base: null })).toThrow('name the base with --base owner/name');
  const shared = sharedModel(folderOf({ ...files, 'README.md': card('base_folder: base') }), { base: 'org/base' });
  expect(shared.kind).toBe('adapter');
  expect(JSON.parse(textOf(shared, 'adapter_config.json'))).toMatchObject({
    r: 4,
    base_model_name_or_path: 'org/base',
  });
  expect(textOf(shared, 'README.md')).toContain('base_model: org/base\nbase_model_relation: adapter\n');
});

it('an adapter whose base is on the Hub already goes as it is', () => {
  const files = { 'adapter_model.safetensors': 'w', 'adapter_config.json': adapter('org/base') };
  const shared = sharedModel(folderOf(files), { base: null });
  expect(shared).toMatchObject({ base: 'org/base', licence: { license_name: 'unknown' } });
  expect(shared.files.every(({ content }) => content.kind === 'file')).toBe(true);
});

it('a folder without weights is refused', () => {
  expect(() => sharedModel(folderOf({ 'config.json': '{}' }), { base: null })).toThrow('it has no model.safetensors');
  expect(() => sharedModel(join(root, 'nowhere'), { base: null })).toThrow('it has no model.safetensors');
});
