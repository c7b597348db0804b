/**
 * @file The rule of scoring, over templates of several families, tokenizers of both kinds and any texts: the ids that are
 * scored decode to the response that the row has, or the row is counted as what it is.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { measureRows, type Prompt, renderPair, renderPrompt } from './rendering.ts';
import type { Message } from './template.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

/** Small templates that do what those of the families do around a response. */
const TEMPLATES = {
  chatml:
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  'end tokens':
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
  'Llama 3, which trims':
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + (m.content | trim) + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
  'Qwen 3, with an empty block of reasoning in the last turn':
    "{% for m in messages %}{% set content = m.content %}{% if m.role == 'assistant' %}{% set reasoning = '' %}{% if '</think>' in content %}{% set reasoning = content.split('</think>')[0].split('<think>')[-1] %}{% set content = content.split('</think>')[-1] %}{% endif %}{{ '<|im_start|>assistant\\n' }}{% if loop.last %}{{ '<think>\\n' + reasoning + '\\n</think>\\n\\n' }}{% endif %}{{ content + '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  'R1 distilled, which opens the reasoning':
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|User|>' + m.content }}{% else %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}",
  'Mistral, with a space before the answer':
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
  'Gemma, with white space before the start token':
    "\n{{ ' ' + bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + (m.content | trim) + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
  'bare texts': '{% for m in messages %}{{ m.content }}{% if not loop.last %} {% endif %}{% endfor %}',
};

const TOKENIZERS = {
  'SentencePiece of stories260K': join('assets', 'stories260K'),
  'byte-level BPE of Llama 3': join('test', 'fixtures', 'rendering', 'llama-3'),
  'SentencePiece of Zephyr': join('test', 'fixtures', 'rendering', 'zephyr'),
  'SentencePiece of Phi-3': join('test', 'fixtures', 'rendering', 'phi-3'),
};

const fragment = fc.constantFrom(
  ...[
    'dog',
    'Un',
    'done',
    ' ',
    '  ',
    '\n',
    '\n\n',
    '.',
    '<',
    '/s>',
    '</s>',
    '<s>',
    '<think>\n',
    '</think>',
    '|>',
    '<|im_end|>',
  ],
  ...['<|eot_id|>', '<b>', 'a', 's', '[/INST]', '<think>\n\n</think>\n\n', '$46', 'StandIn', '{{ x }}', 'mark'],
);
const text = fc.array(fragment, { maxLength: 6 }).map((parts) => parts.join(''));
const said = text.map((each) => `${each}cat`);
const messages = fc
  .record({ first: said, more: fc.array(said, { maxLength: 3 }) })
  .map(({ first, more }) =>
    [first, ...more].map((content, i): Message => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  );
const settings = { rendering: 'clean', maxLength: 100_000, maxPromptLength: 50_000 } as const;

describe.each(Object.entries(TOKENIZERS))('with the %s', (_, directory) => {
  const plain = loadTokenizer(join(packageRoot, directory));

  let rendered = 0;
  const check = (tokenizer: typeof plain, prompt: Prompt, texts: readonly [string, string]): void => {
    const [chosen, rejected] = texts.map((each) => ({ text: each })) as [{ text: string }, { text: string }];
    const [measured] = measureRows(tokenizer, [{ prompt, responses: [chosen, rejected] }], settings);
    if (measured === undefined || measured.kind === 'fault') return;
    rendered += 1;
    const pair = renderPair(tokenizer, { prompt, chosen, rejected, response: null }, settings);
    for (const [i, { promptIds, responseIds }] of [pair.chosen, pair.rejected].entries()) {
      const own = texts[i] ?? '';
      const before = tokenizer.decode(promptIds);
      const whole = tokenizer.decode([...promptIds, ...responseIds]);
      const scored = whole.slice(before.length);
      expect(whole.startsWith(before)).toBe(true);
      expect(tokenizer.stopIds).toContain(responseIds.at(-1));
      expect(responseIds.filter((id) => tokenizer.stopIds.includes(id))).toHaveLength(1);
      expect(promptIds.filter((id) => id === tokenizer.bosId).length).toBeGreaterThanOrEqual(
        tokenizer.addBosToken && tokenizer.bosId !== null ? 1 : 0,
      );
      expect(promptIds[1]).not.toBe(tokenizer.bosId ?? -1);
      const change = measured.measure.changes[i];
      if (change === 'none') expect(scored.replace(own, () => '').trim()).toBe('');
      if (change === 'none') expect(scored).toContain(own);
      if (change === 'space') expect(scored.trim()).toBe(own.trim());
    }
    expect(pair.chosen.responseIds).not.toEqual(pair.rejected.responseIds);
  };

  it.each(Object.entries(TEMPLATES))('and a template like %s', (_, chatTemplate) => {
    const tokenizer = { ...plain, chatTemplate };
    rendered = 0;
    fc.assert(
      fc.property(messages, text, text, (given, chosen, rejected) => {
        fc.pre(chosen !== rejected);
        check(tokenizer, { kind: 'chat', messages: given }, [chosen, rejected]);
      }),
      { numRuns: 40, seed: 1 },
    );
    expect(rendered).toBeGreaterThan(20);
  });

  it("and a prompt that ends in the assistant's words", () => {
    const tokenizer = {
      ...plain,
      chatTemplate: TEMPLATES['Qwen 3, with an empty block of reasoning in the last turn'],
    };
    rendered = 0;
    fc.assert(
      fc.property(said, said, text, text, (question, begun, chosen, rejected) => {
        fc.pre(chosen !== rejected && !`${begun}${chosen}${rejected}`.includes('think>'));
        const given = [
          { role: 'user', content: question },
          { role: 'assistant', content: begun },
        ];
        check(tokenizer, { kind: 'chat', messages: given }, [chosen, rejected]);
      }),
      { numRuns: 40, seed: 1 },
    );
    expect(rendered).toBeGreaterThan(20);
  });

  it('and plain texts', () => {
    fc.assert(
      fc.property(said, text, text, (before, chosen, rejected) => {
        fc.pre(![chosen, rejected].some((each) => plain.stopTokens.some((token) => each.endsWith(token))));
        fc.pre(chosen !== rejected);
        check(plain, { kind: 'text', text: before }, [chosen, rejected]);
        expect(renderPrompt(plain, { kind: 'text', text: before }, 'clean').length).toBeGreaterThan(0);
      }),
      { numRuns: 40, seed: 1 },
    );
  });
});
