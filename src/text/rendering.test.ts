/** @file Ids of prompts and responses: one start token, the header masked, one end token; cut without losing them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { renderPairAsTrl } from '../../test/trl-rendering.ts';
import { packageRoot } from '../files/package-root.ts';
import { cleanPlaces, cleanSequences } from './clean.ts';
import { type MeasuredText, measureRows, type Prompt, renderPrompt } from './rendering.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer/tokenizer.ts';
import { truncate, truncatePrompt } from './truncation.ts';

const stories = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function cleanResponse(tokenizer: Tokenizer, prompt: Prompt, response: string): number[] {
  const places = cleanPlaces(tokenizer, { prompt, responses: [{ text: response }] });
  return cleanSequences(tokenizer, [places])[0]?.[0]?.responseIds ?? [];
}

const CONTROL = [
  '<s>',
  '</s>',
  '<|im_start|>',
  '<|im_end|>',
  '<|begin_of_text|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '<|eot_id|>',
];

/** A tokenizer of letters, line ends and control tokens, one id each, with a chat template. */
function letters(template: string, tokens: { bos: string | null; eos: string }): Tokenizer {
  const folder = mkdtempSync(join(tmpdir(), 'selm-letters-'));
  folders.push(folder);
  const characters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<|>/_ .:!'];
  const vocabulary = Object.fromEntries([...CONTROL, '\n', ...characters].map((token, id) => [token, id]));
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: CONTROL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'WordLevel', vocab: vocabulary, unk_token: '!' },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({
      ...(tokens.bos === null ? {} : { bos_token: tokens.bos }),
      eos_token: tokens.eos,
      chat_template: template,
    }),
  );
  return loadTokenizer(folder);
}

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const ZEPHYR =
  "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + eos_token + '\\n' }}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}";
const LLAMA3 =
  "{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' %}{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

const chat: Prompt = { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }] };

describe('clean rendering of a conversation', () => {
  it.each([
    ['chatml', CHATML, null, '<|im_end|>', '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'],
    ['Zephyr', ZEPHYR, '<s>', '</s>', '<s><|user|>\nHi</s>\n<|assistant|>\n'],
    [
      'Llama 3',
      LLAMA3,
      '<|begin_of_text|>',
      '<|eot_id|>',
      '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    ],
  ])('%s: the header is the prompt, the response is its text and one end token', (_, template, bos, eos, before) => {
    const tokenizer = letters(template, { bos, eos });
    expect(renderPrompt(tokenizer, chat, 'clean')).toEqual(tokenizer.encode(before));
    expect(cleanResponse(tokenizer, chat, 'Yo')).toEqual(tokenizer.encode(`Yo${eos}`));
    const starts = renderPrompt(tokenizer, chat, 'clean').filter((id) => id === tokenizer.bosId).length;
    expect(starts).toBe(bos === null ? 0 : 1);
  });

  it('needs a chat template, and says where to put it', () => {
    const bare = { ...stories, chatTemplate: null };
    expect(() => renderPrompt(bare, chat, 'clean')).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_MISSING', exitCode: 2 }),
    );
    expect(renderPrompt(bare, { kind: 'text', text: 'Hi' }, 'clean')).toEqual(
      renderPrompt(stories, { kind: 'text', text: 'Hi' }, 'clean'),
    );
  });
});

describe('clean rendering with stories260K', () => {
  const prompt: Prompt = { kind: 'text', text: 'Once upon a time' };

  it('puts the start token (1) in front once and the end token (2) at the end once', () => {
    const words = fc.array(fc.constantFrom('Lily', 'was', 'happy', 'and', 'sad', '.', 'dog'), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(words, words, (before, after) => {
        const text: Prompt = { kind: 'text', text: before.join(' ') };
        const ids = [...renderPrompt(stories, text, 'clean'), ...cleanResponse(stories, text, ` ${after.join(' ')}`)];
        expect(ids.filter((id) => id === 1)).toHaveLength(1);
        expect(ids.filter((id) => id === 2)).toHaveLength(1);
        expect([ids[0], ids.at(-1)]).toEqual([1, 2]);
      }),
      { numRuns: 50 },
    );
  });

  it('gives the ids of the whole text where the response follows the prompt', () => {
    const whole = stories.encode('Once upon a time there was a dog.');
    expect([
      ...renderPrompt(stories, prompt, 'clean').slice(1),
      ...cleanResponse(stories, prompt, ' there was a dog.'),
    ]).toEqual([...whole, 2]);
  });

  it('scores the whole of a response in which a control token is written, as characters', () => {
    for (const text of [' a</s> b', ' <s>old</s> and', ' </s></s> <unk>']) {
      const ids = cleanResponse(stories, prompt, text);
      expect(stories.decode(ids)).toBe(text.trimStart());
      expect(ids.filter((id) => [0, 1, 2].includes(id))).toEqual([2]);
    }
  });

  it('decodes to the text again', () => {
    expect(stories.decode(stories.encode('Lily saw a dog.')).trim()).toBe('Lily saw a dog.');
  });
});

describe('truncation', () => {
  it('keeps the start token and the end of a prompt, and the beginning of responses', () => {
    const cut = truncate(
      {
        promptIds: [1, 2, 3, 4, 5, 6],
        responses: [
          [7, 8],
          [7, 8, 9, 10, 11],
        ],
      },
      { maxLength: 7, maxPromptLength: 4, bosId: 1 },
    );
    expect(cut).toEqual({
      promptIds: [1, 4, 5, 6],
      responses: [
        [7, 8],
        [7, 8, 9],
      ],
    });
    expect(truncatePrompt([5, 6, 7], { maxPromptLength: 2, bosId: 1 })).toEqual([6, 7]);
  });

  it('never lets a sequence exceed maxLength, and cuts nothing that fits', () => {
    const ids = fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        ids,
        ids,
        fc.integer({ min: 2, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        (promptIds, response, maxLength, maxPromptLength) => {
          const cut = truncate({ promptIds, responses: [response] }, { maxLength, maxPromptLength, bosId: 1 });
          const length = cut.promptIds.length + (cut.responses[0]?.length ?? 0);
          expect(length).toBeLessThanOrEqual(Math.max(maxLength, cut.promptIds.length));
          expect(cut.promptIds.length).toBeLessThanOrEqual(maxPromptLength);
          if (promptIds.length <= maxPromptLength && promptIds.length + response.length <= maxLength) {
            expect(cut).toEqual({ promptIds, responses: [response] });
          }
        },
      ),
    );
  });
});

const ultrafeedback = gunzipSync(
  readFileSync(join(packageRoot, 'test', 'fixtures', 'data', 'ultrafeedback-140.jsonl.gz')),
).toString('utf8');
describe("renderPairAsTrl() gives TRL's ids on UltraFeedback", () => {
  it.each([
    [512, 'rows.json'],
    [1024, 'rows-1024.json'],
  ])('cut at %i tokens, row for row', (maxLength, name) => {
    const path = join(packageRoot, 'test', 'fixtures', 'trl', name);
    const { rows } = JSON.parse(readFileSync(path, 'utf8')) as {
      rows: { prompt: number[]; chosen: number[]; rejected: number[] }[];
    };
    type Conversation = { role: string; content: string }[];
    const own = [];
    for (const line of ultrafeedback.split('\n')) {
      if (own.length === rows.length) break;
      const { chosen, rejected } = JSON.parse(line) as { chosen: Conversation; rejected: Conversation };
      const prompt: Prompt = { kind: 'chat', messages: chosen.slice(0, -1) };
      const pair = { prompt, chosen: chosen.at(-1)?.content ?? '', rejected: rejected.at(-1)?.content ?? '' };
      const ids = renderPairAsTrl(stories, pair, maxLength);
      if (ids !== null) own.push({ prompt: ids.promptIds, chosen: ids.chosenIds, rejected: ids.rejectedIds });
    }
    expect(own).toEqual(rows);
  });
});

it('measureRows() measures each row as it does alone, whatever stands beside it', () => {
  const rows = [
    {
      prompt: { kind: 'text', text: 'Once upon a time' },
      responses: [{ text: ' there was a dog.' }, { text: ' No.' }],
    },
    { prompt: { kind: 'text', text: 'Alone '.repeat(40) }, responses: [] },
    { prompt: { kind: 'text', text: 'A cat' }, responses: [{ text: ' and a dog. '.repeat(20) }, { text: '' }] },
    { prompt: { kind: 'text', text: 'Alone' }, responses: [] },
  ] satisfies MeasuredText[];
  for (const rendering of ['clean', 'faithful'] as const) {
    const settings = { rendering, maxLength: 64, maxPromptLength: 32 };
    const together = measureRows(stories, rows, settings);
    expect(together).toEqual(rows.flatMap((row) => measureRows(stories, [row], settings)));
    const measures = together.map((each) => (each.kind === 'measure' ? each.measure : null));
    expect(measures.map((each) => each?.responses.length)).toEqual([2, 0, 2, 0]);
    expect(measures[2]?.responsesCut).toBe(1);
  }
});
