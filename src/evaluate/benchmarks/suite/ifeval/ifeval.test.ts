/**
 * @file IFEval against lm-evaluation-harness's own instruction code (scripts/fixtures/ifeval.py): made answers to its 541 prompts, of which
 * each instruction is followed by some and not by others, and a real model's own to the first 150.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { detectLanguage } from './detect-language.ts';
import { followed, ifeval, readInstructions } from './ifeval.ts';
import { numberOfWords } from './length.ts';
import { sentences } from './sentences.ts';
import { wordTokens } from './word-tokens.ts';

const fixtures = fileURLToPath(new URL('../../../../../test/fixtures/evaluate/', import.meta.url));
const unpacked = (path: string): string => gunzipSync(readFileSync(fixtures + path)).toString('utf8');
const rows = unpacked('benchmarks/data/ifeval/input_data.jsonl.gz')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Record<string, unknown>);
const { answers, texts } = JSON.parse(unpacked('ifeval/verdicts.json.gz')) as {
  /** Row, answer, a strict and a loose verdict for each instruction. */
  answers: [number, string, string, string][];
  /** Text, language, sentences, tokens, number of words. */
  texts: [string, string | null, string[], string[], number][];
};

const { answers: real } = JSON.parse(unpacked('ifeval/real.json.gz')) as { answers: typeof answers };

describe('the instructions', () => {
  it('are all read', () => {
    expect(rows).toHaveLength(541);
    expect(rows.filter((row) => 'problem' in ifeval.readItem(row))).toEqual([]);
  });

  it.each([
    ['made answers', answers, 1500],
    ['answers of SmolLM2-135M-Instruct', real, 140],
  ])('have the harness’s verdict on every one of the %s, strictly and loosely', (_, given, fewest) => {
    const asText = (verdicts: readonly boolean[]): string => verdicts.map(Number).join('');
    const other = given.flatMap(([place, answer, strict, loose]) => {
      const instructions = readInstructions(rows[place] ?? {});
      if ('problem' in instructions) throw new Error(instructions.problem);
      const own = followed(instructions, answer);
      const isSame = asText(own.strict) === strict && asText(own.loose) === loose;
      return isSame ? [] : [{ names: rows[place]?.instruction_id_list, answer, own, strict, loose }];
    });
    expect(given.length).toBeGreaterThan(fewest);
    expect(other).toEqual([]);
  });

  it('count by prompt, and each of them', () => {
    const row = {
      prompt: 'p',
      instruction_id_list: ['punctuation:no_comma', 'startend:quotation'],
      kwargs: [{}, { num_words: null }],
    };
    const item = ifeval.readItem(row);
    if ('problem' in item || item.question.kind !== 'generation') throw new Error('no item');
    expect(item.question.score('"Yes, no"')).toEqual({
      prompt_level_strict_acc: 0,
      inst_level_strict_acc: [0, 1],
      prompt_level_loose_acc: 0,
      inst_level_loose_acc: [0, 1],
    });
    expect(item.question.score('Sure, here:\n"*Yes*"')).toMatchObject({
      prompt_level_strict_acc: 0,
      prompt_level_loose_acc: 1,
    });
    expect(item.question.score(' ')).toMatchObject({ inst_level_loose_acc: [0, 0] });
  });

  it('count the sign that the prompt names where the harness draws a letter', () => {
    const settings = { letter: '#', let_frequency: 2, let_relation: 'at least' };
    const row = { instruction_id_list: ['keywords:letter_frequency'], kwargs: [settings] };
    const instructions = readInstructions(row);
    if ('problem' in instructions) throw new Error(instructions.problem);
    expect([followed(instructions, '# a #').strict, followed(instructions, '# a').strict]).toEqual([[true], [false]]);
  });

  it.each([
    [{ kwargs: [{}] }, 'it has no instruction_id_list'],
    [{ instruction_id_list: ['startend:quotation'] }, 'it has no kwargs for each of its instructions'],
    [{ instruction_id_list: ['new:one'], kwargs: [{}] }, 'its instruction "new:one" is not known'],
    [
      { instruction_id_list: ['length_constraints:number_words'], kwargs: [{ relation: 'at least', num_words: null }] },
      'its instruction length_constraints:number_words: num_words',
    ],
    [
      {
        instruction_id_list: ['length_constraints:nth_paragraph_first_word'],
        kwargs: [{ num_paragraphs: 1, nth_paragraph: 2, first_word: 'a' }],
      },
      'nth_paragraph is beyond the last',
    ],
  ])('that cannot be read are named: %j', (row, problem) => {
    expect(ifeval.readItem({ prompt: 'p', ...row })).toEqual({ problem: expect.stringContaining(problem) });
  });
});

describe.each(texts)('of %j', (text, language, ownSentences, tokens, words) => {
  it('language, sentences and words are langdetect’s and NLTK’s', () => {
    expect(detectLanguage(text)).toBe(language);
    expect(sentences(text)).toEqual(ownSentences);
    expect(wordTokens(text)).toEqual(tokens);
    const atLeast = (count: number): boolean => {
      const follows = numberOfWords({ num_words: count, relation: 'at least' });
      return typeof follows === 'function' && follows(text);
    };
    expect([words === 0 || atLeast(words), atLeast(words + 1)]).toEqual([true, false]);
  });
});
