/** @file Files that disagree about tokens are refused with the token and the files, where transformers would add it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changedModel } from '../../../test/support/changed-model.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { readTokenizerSettings } from './tokenizer-files.ts';

const token = (content: string, flags: Record<string, unknown> = {}) => ({
  ...{ content, special: true, lstrip: false, rstrip: false, normalized: false, single_word: false },
  ...flags,
});
/** The tokens that tokenizer.json of the story model holds. */
const KNOWN = { 0: token('<unk>'), 1: token('<s>'), 2: token('</s>') };

/** A model whose tokenizer_config.json has these fields, beside other files of tokens. */
function modelWith(config: Record<string, unknown>, others: Record<string, unknown> = {}): string {
  const folder = changedModel(temporaryFolder(), { files: { 'tokenizer_config.json': config } });
  for (const [name, value] of Object.entries(others)) writeFileSync(join(folder, name), JSON.stringify(value));
  return folder;
}

test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
  ['added_tokens_decoder', { added_tokens_decoder: { ...KNOWN, 512: token('<|turn|>') } }, {}, 'tokenizer_config.json'],
  ['additional_special_tokens', { additional_special_tokens: ['<|turn|>'] }, {}, 'tokenizer_config.json'],
  ['extra_special_tokens', { extra_special_tokens: { turn_token: '<|turn|>' } }, {}, 'tokenizer_config.json'],
  [
    'additional_special_tokens',
    {},
    { 'special_tokens_map.json': { additional_special_tokens: [token('<|turn|>')] } },
    'special_tokens_map.json',
  ],
  ['an entry', {}, { 'added_tokens.json': { '<|turn|>': 512 } }, 'added_tokens.json'],
])('a token of %s that tokenizer.json lacks is refused by its name, with both files', (field, config, others, file) => {
  const folder = modelWith(config, others);
  const message = `the token "<|turn|>" is in ${field} of ${join(folder, file)}, and ${join(folder, 'tokenizer.json')} lacks it`;
  expect(() => readTokenizerSettings(folder)).toThrow(
    expect.objectContaining({ code: 'TOKENIZER_FILES', message: expect.stringContaining(message) }),
  );
});

test.each(['lstrip', 'rstrip', 'single_word'])('a token whose %s differs between the files is refused', (flag) => {
  const folder = modelWith({ added_tokens_decoder: { ...KNOWN, 2: token('</s>', { [flag]: true }) } });
  expect(() => readTokenizerSettings(folder)).toThrow(`the token "</s>" has ${flag} true in added_tokens_decoder of`);
});

test('an added_tokens_decoder that is no object of tokens is refused', () => {
  expect(() => readTokenizerSettings(modelWith({ added_tokens_decoder: { 5: 'turn' } }))).toThrow(
    'Cannot read field "added_tokens_decoder"',
  );
});

test('files that agree are read, in any of their forms', () => {
  const others = {
    'added_tokens.json': { '</s>': 2 },
    'special_tokens_map.json': { additional_special_tokens: ['<s>'] },
  };
  const settings = readTokenizerSettings(
    modelWith({ added_tokens_decoder: KNOWN, additional_special_tokens: null }, others),
  );
  expect(settings.specialTokens).toEqual(['<unk>', '<s>', '</s>']);
});

test('beside an added_tokens_decoder the older files are passed over, as transformers does', () => {
  const older = {
    'added_tokens.json': { '<|turn|>': 512 },
    'special_tokens_map.json': { additional_special_tokens: ['<|x|>'] },
  };
  expect(readTokenizerSettings(modelWith({ added_tokens_decoder: KNOWN }, older)).eosToken).toBe('</s>');
});
