import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkModelFolder, modelFolderProblem } from './model-folder.ts';
import { temporaryFolder } from './temporary.testing.ts';

test('a folder with config.json, or an adapter, is a model folder', () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'adapter_config.json'), '{}');
  expect(modelFolderProblem(folder)).toBeNull();
});

test.each([
  ['a path that is not there', 'absent', 'there is no such folder: give a folder in Hugging Face layout'],
  [
    'an owner and a name',
    'HuggingFaceTB/SmolLM2-135M-Instruct',
    'did you mean hub:HuggingFaceTB/SmolLM2-135M-Instruct?',
  ],
  ['a missing folder in one that is there', 'docs/absent', 'there is no such folder: give a folder'],
  [
    'a folder of other files',
    'docs',
    'it has no config.json (it has a.md, b.md): give a folder in Hugging Face layout',
  ],
  ['a file', 'docs/a.md', 'it is a file: give a folder'],
  ['the folder around a model', 'outer', 'the folder inner in it has: give '],
])('%s is told from the others', (_, path, says) => {
  const folder = temporaryFolder();
  for (const name of ['docs', 'outer/inner']) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ['docs/a.md', 'docs/b.md', 'outer/inner/config.json']) writeFileSync(join(folder, name), '{}');
  expect(() => checkModelFolder(join(folder, path))).toThrow(
    expect.objectContaining({ code: 'MODEL_FOLDER', exitCode: 2, message: expect.stringContaining(says) }),
  );
});
