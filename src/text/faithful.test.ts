/** @file The authors' rendering and truncation, id for id, with the templates of their models (scripts/fixtures/faithful.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { truncateFaithfully } from './faithful.ts';
import {
  type Message,
  measureRows,
  type Prompt,
  renderPair,
  renderPrompt,
  renderSamplingPrompts,
} from './rendering.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

const folder = join(packageRoot, 'test', 'fixtures', 'rendering');

interface Case {
  name: string;
  prompt: string | Message[];
  /** Chosen, rejected, and the policy's response where there is one. */
  answers: string[];
  maxLength: number;
  maxPromptLength: number;
  samplingIds: number[];
  /** Null where the authors' code raises an error. */
  expected: { promptIds: number[]; responseIds: number[] }[] | null;
}
const { models } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
  models: { name: string; cases: Case[] }[];
};

const promptOf = (prompt: Case['prompt']): Prompt =>
  typeof prompt === 'string' ? { kind: 'text', text: prompt } : { kind: 'chat', messages: prompt };

describe.each(models)("the authors' ids with the template of $name", ({ name, cases }) => {
  const tokenizer = loadTokenizer(join(folder, name));

  it.each(cases)('$name', ({ prompt: given, answers, maxLength, maxPromptLength, samplingIds, expected }) => {
    const settings = { rendering: 'faithful', maxLength, maxPromptLength } as const;
    const prompt = promptOf(given);
    const [chosen = '', rejected = '', response] = answers;
    const pair = {
      prompt,
      chosen: { text: chosen },
      rejected: { text: rejected },
      // The ids that were sampled are not what the authors train on: they encode the text again.
      response: response === undefined ? null : { text: response, sampledIds: Int32Array.of(0) },
    };
    expect(renderSamplingPrompts(tokenizer, [prompt], settings)).toEqual([samplingIds]);
    if (expected === null) throw new Error('The fixture has a refusal that this test does not expect');
    const rendered = renderPair(tokenizer, pair, settings);
    const sequences = [rendered.chosen, rendered.rejected, ...(rendered.response === null ? [] : [rendered.response])];
    expect(sequences).toEqual(expected);
  });
});

describe('the faithful rendering', () => {
  const llama = loadTokenizer(join(folder, 'llama-3'));
  const settings = { rendering: 'faithful', maxLength: 1024, maxPromptLength: 512 } as const;
  const hi: Prompt = { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }] };

  it('gives Llama-3 three start tokens, scores the header, and ends with two end tokens', () => {
    const { chosen } = renderPair(
      llama,
      { prompt: hi, chosen: { text: 'Yo' }, rejected: { text: 'No' }, response: null },
      settings,
    );
    expect(chosen.promptIds).toEqual([
      ...llama.encode('<|begin_of_text|><|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>'),
    ]);
    expect(chosen.responseIds).toEqual(
      llama.encode('<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|><|eot_id|>'),
    );
    const [sampling] = renderSamplingPrompts(llama, [hi], settings);
    expect(sampling?.filter((id) => id === llama.bosId)).toHaveLength(2);
    expect(renderPrompt(llama, hi, 'clean').filter((id) => id === llama.bosId)).toHaveLength(1);
  });

  it('counts what the truncation cuts for the audit, and never cuts the prompt that is sampled from', () => {
    const long: Prompt = { kind: 'text', text: 'a '.repeat(60) };
    const [row] = measureRows(llama, [{ prompt: long, responses: [{ text: 'b' }, { text: 'c '.repeat(40) }] }], {
      ...settings,
      maxLength: 48,
      maxPromptLength: 16,
    });
    expect(row).toMatchObject({ measure: { promptCut: true, responsesCut: 1, missingEnd: false } });
    const [alone] = measureRows(llama, [{ prompt: long, responses: [] }], { ...settings, maxPromptLength: 16 });
    expect(alone).toMatchObject({ measure: { promptCut: false, responses: [] } });
  });

  it('refuses a pair of which more than the last prompt token depends on the response, as the authors do', () => {
    // No tokenizer at hand does this, so one is made up: the prompt's three ids are all others once a response follows.
    const unsteady = {
      ...llama,
      encodeBatch: (texts: readonly string[]) =>
        texts.map(
          (_, i) =>
            [
              [1, 2, 3],
              [4, 5, 6, 7],
              [1, 2, 8, 9],
            ][i] ?? [],
        ),
    };
    const text = { kind: 'text', text: 'x' } as const;
    expect(() =>
      renderPair(unsteady, { prompt: text, chosen: { text: 'a' }, rejected: { text: 'b' }, response: null }, settings),
    ).toThrow(expect.objectContaining({ code: 'RESPONSE_MERGED', exitCode: 2 }));
  });
});

describe('truncateFaithfully()', () => {
  const limits = { maxLength: 10, maxPromptLength: 4 };
  const prompt = [0, 1, 2, 3, 4, 5];
  const sequence = (length: number) => ({ promptIds: prompt, responseIds: Array.from({ length }, (_, i) => 10 + i) });
  const lengths = (responses: number[]) =>
    truncateFaithfully(responses.map(sequence), limits).map((each) => [each.promptIds.length, each.responseIds.length]);

  it('leaves what fits, then cuts the prompt, then the responses too', () => {
    expect(lengths([4, 2])).toEqual([
      [6, 4],
      [6, 2],
    ]);
    expect(lengths([5, 2])).toEqual([
      [4, 5],
      [4, 2],
    ]);
    expect(lengths([7, 2])).toEqual([
      [4, 6],
      [4, 2],
    ]);
  });

  it('keeps the end of the prompt, its start token not spared', () => {
    expect(truncateFaithfully([sequence(5), sequence(1)], limits)[0]?.promptIds).toEqual([2, 3, 4, 5]);
  });

  it("does not look at the length of the policy's response", () => {
    expect(lengths([4, 2, 30])).toEqual([
      [6, 4],
      [6, 2],
      [6, 30],
    ]);
    expect(lengths([7, 2, 30])).toEqual([
      [4, 6],
      [4, 2],
      [4, 6],
    ]);
  });
});
