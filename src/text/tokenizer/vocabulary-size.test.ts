/** @file A tokenizer with ids beyond the model's embedding is refused as it is loaded, before anything is computed. */
import { expect, test } from 'vitest';
import { changedModel } from '../../../test/support/changed-model.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { loadTokenizer } from './tokenizer.ts';
import { readTokenizerSettings } from './tokenizer-files.ts';
import { idsBeyondEmbedding } from './vocabulary-size.ts';

type Fields = Record<string, unknown>;

const added = (content: string, id: number) => ({
  ...{ id, content, special: true, lstrip: false, rstrip: false, normalized: false, single_word: false },
});

/** The story model, of 512 tokens, with tokens added to tokenizer.json and these fields of the other files. */
function modelWith(tokens: readonly ReturnType<typeof added>[], files: Record<string, Fields> = {}): string {
  const tokenizer = (fields: Fields): Fields => ({
    ...fields,
    added_tokens: [...(fields.added_tokens as unknown[]), ...tokens],
  });
  return changedModel(temporaryFolder(), { files: { ...files, 'tokenizer.json': tokenizer } });
}

test('a vocabulary longer than the embedding is refused with both sizes', () => {
  expect(() => readTokenizerSettings(modelWith([], { 'config.json': { vocab_size: 500 } }))).toThrow(
    expect.objectContaining({
      code: 'TOKENIZER_LONGER',
      message: expect.stringMatching(
        /has 512 ids \(token "." is 511\), and vocab_size .* gives the embedding 500 rows/,
      ),
    }),
  );
});

test('an added token beyond the embedding is refused by its name', () => {
  expect(() => readTokenizerSettings(modelWith([added('[PAD]', 512)]))).toThrow(
    'has 513 ids (token "[PAD]" is 512), and vocab_size',
  );
});

test('an embedding that was padded to more rows than there are tokens is fine', () => {
  const folder = modelWith([added('<|turn|>', 512)], { 'config.json': { vocab_size: 640 } });
  expect(readTokenizerSettings(folder).withoutRow).toEqual([]);
});

test('the size that counts is that of the text part where a model sees images too', () => {
  const config = { vocab_size: 5, text_config: { vocab_size: 512 } };
  expect(readTokenizerSettings(modelWith([], { 'config.json': config })).withoutRow).toEqual([]);
});

test('a placeholder of pictures may lie beyond the embedding; a text that holds it is refused', () => {
  const picture = { 'tokenizer_config.json': { image_token: '<picture>' } };
  const tokenizer = loadTokenizer(modelWith([added('<picture>', 512)], picture));
  expect(tokenizer.encode('Once upon a time')).toEqual([403, 407, 261, 378]);
  expect(() => tokenizer.encode('Once <picture>')).toThrow(
    expect.objectContaining({ code: 'TOKEN_WITHOUT_ROW', message: expect.stringContaining('"<picture>"') }),
  );
  tokenizer.close();
});

test('idsBeyondEmbedding() counts the pieces of a Unigram model', () => {
  const files = {
    tokenizer: {
      model: {
        vocab: [
          ['a', 0],
          ['b', 0],
          ['c', 0],
        ],
      },
    },
    config: {},
    model: { vocab_size: 2 },
  };
  expect(() => idsBeyondEmbedding('x', files)).toThrow('has 3 ids (token "c" is 2)');
});
