import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { loadTokenizer } from '../text/tokenizer/tokenizer.ts';
import { tokenizerMetadata } from './tokenizer.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-gguf-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const stories = join(packageRoot, 'assets', 'stories260K');
const rendering = join(packageRoot, 'test', 'fixtures', 'rendering');

interface Json {
  added_tokens: Record<string, unknown>[];
  model: { vocab: Record<string, number>; merges: [string, string][] } & Record<string, unknown>;
  normalizer: unknown;
  pre_tokenizer: { pretokenizers: Record<string, unknown>[] };
}

/** Metadata of a tokenizer whose tokenizer.json is changed, for a model of `vocabularySize` ids. */
function metadataOf(
  directory: string,
  change: (json: Json) => void = () => {},
  options: { vocabularySize?: number; name?: string } = {},
) {
  const copy = mkdtempSync(join(root, 'tokenizer-'));
  cpSync(directory, copy, { recursive: true });
  const json = JSON.parse(readFileSync(join(copy, 'tokenizer.json'), 'utf8')) as Json;
  change(json);
  writeFileSync(join(copy, 'tokenizer.json'), JSON.stringify(json));
  const found = tokenizerMetadata(loadTokenizer(copy), { name: 'x', vocabularySize: 600, ...options });
  return new Map([...found].map(([key, { value }]) => [key, value]));
}

test('tokenizerMetadata() scores the tokens of SentencePiece by the place of their merge, and types them', () => {
  const metadata = metadataOf(stories);
  expect(metadata.get('tokenizer.ggml.model')).toBe('llama');
  const [tokens, scores, types] = ['tokens', 'scores', 'token_type'].map(
    (key) => metadata.get(`tokenizer.ggml.${key}`) as (string | number)[],
  );
  const of = (token: string) => [scores, types].map((list) => list?.[tokens?.indexOf(token) ?? -1]);
  expect(of('▁t')).toEqual([-0, 1]);
  expect(of('he')).toEqual([-1, 1]);
  expect(of('▁the')).toEqual([-6, 1]);
  expect(of('<0x0A>')).toEqual([0, 6]);
  expect(of('<unk>')).toEqual([0, 2]);
  expect(of('</s>')).toEqual([0, 3]);
  // Ids of the model that the tokenizer has no token for.
  expect(of('[PAD599]')).toEqual([0, 5]);
  expect(metadata.get('tokenizer.ggml.add_space_prefix')).toBe(true);
  expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(true);
  expect(metadata.get('tokenizer.ggml.bos_token_id')).toBe(1);
});

test('tokenizerMetadata() puts the one token without a merge first, as older conversions of Llama 2 leave it', () => {
  const metadata = metadataOf(stories, (json) => {
    json.model.merges = json.model.merges.filter(([left, right]) => left + right !== '▁t');
  });
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  const scores = metadata.get('tokenizer.ggml.scores') as number[];
  expect(scores[tokens.indexOf('▁t')]).toBe(1);
  expect(scores.filter((score) => score > 0)).toHaveLength(1);
  expect(scores[tokens.indexOf('he')]).toBe(-0);
});

const digits = { type: 'Digits', individual_digits: true };
const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

test.each<[string, (json: Json) => void]>([
  ['llama-bpe', () => {}],
  [
    'dbrx',
    (json) => {
      json.model.ignore_merges = false;
    },
  ],
  [
    'smollm',
    (json) => {
      json.pre_tokenizer.pretokenizers = [digits, bytes];
    },
  ],
  [
    'gpt-2',
    (json) => {
      json.pre_tokenizer.pretokenizers = [bytes];
    },
  ],
  [
    'qwen2',
    (json) => {
      const split = json.pre_tokenizer.pretokenizers[0]?.pattern as { Regex: string };
      split.Regex = split.Regex.replace('{1,3}', '');
    },
  ],
])('tokenizerMetadata() names the way to split %s', (name, change) => {
  const metadata = metadataOf(join(rendering, 'llama-3'), change);
  expect(metadata.get('tokenizer.ggml.model')).toBe('gpt2');
  expect(metadata.get('tokenizer.ggml.pre')).toBe(name);
  expect((metadata.get('tokenizer.ggml.merges') as string[]).length).toBeGreaterThan(100);
});

test.each<[string, string, (json: Json) => void, string]>([
  [
    'a way to split that llama.cpp does not have',
    join(rendering, 'llama-3'),
    (json) => {
      json.pre_tokenizer.pretokenizers[0] = {
        ...json.pre_tokenizer.pretokenizers[0],
        pattern: { Regex: '\\s+' },
      };
    },
    'no pre-tokenizer that is known to split as its own',
  ],
  [
    'a merge that is missing',
    stories,
    (json) => {
      json.model.merges = json.model.merges.filter(([left, right]) => left + right !== '▁the' || left !== '▁t');
    },
    '"▁t" and "he" have no merge to "▁the", but llama.cpp would merge them',
  ],
  [
    'a normalizer of another kind',
    stories,
    (json) => {
      json.normalizer = { type: 'Lowercase' };
    },
    'its step {"type":"Lowercase"} is none of SentencePiece',
  ],
  [
    'two tokens without merges',
    stories,
    (json) => {
      json.model.merges = json.model.merges.filter(([left, right]) => !['▁t', 'he'].includes(left + right));
    },
    'have no merge to',
  ],
  [
    'merges of one token that stand apart',
    stories,
    (json) => void json.model.merges.push(...json.model.merges.splice(6, 1)),
    'the merges of "▁the" do not stand together',
  ],
  [
    'a token that takes in the space before it',
    stories,
    (json) => {
      json.added_tokens[2] = { ...json.added_tokens[2], lstrip: true };
    },
    'its token "</s>" takes in what stands beside it',
  ],
])('tokenizerMetadata() refuses %s', (_, directory, change, reason) => {
  expect(() => metadataOf(directory, change)).toThrow(
    expect.objectContaining({ code: 'EXPORT_UNSUPPORTED', message: expect.stringContaining(reason) }),
  );
});

test('tokenizerMetadata() refuses a tokenizer with more ids than the model', () => {
  expect(() => metadataOf(stories, () => {}, { vocabularySize: 500 })).toThrow('the model has 500');
});

test('tokenizerMetadata() names a model Phi-3 where its tokens take spaces away, and no other', () => {
  expect(metadataOf(join(rendering, 'phi-3'), () => {}, { name: 'mine' }).get('general.name')).toBe('mine (phi-3)');
  expect(metadataOf(stories, () => {}, { name: 'my-phi3-like' }).get('general.name')).toBe('my-phi 3-like');
});
