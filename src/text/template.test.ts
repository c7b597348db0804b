/** @file Chat templates: what transformers renders. Hostile ones are in template-hostile.test.ts. */
import { describe, expect, it } from 'vitest';
import { type JsonValue, renderTemplate } from './template.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const render = (template: string): string =>
  renderTemplate(template, messages, { addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' });

describe('renderTemplate()', () => {
  it('knows messages, the special tokens and the generation prompt, and trims blocks as transformers does', () => {
    const template =
      '{% for m in messages %}\n  {{ bos_token + m.content + eos_token }}\n{% endfor %}\n{% if add_generation_prompt %}\n[A]{% endif %}';
    expect(render(template)).toBe('  <s>Hi</s>\n[A]');
  });

  it('shows the template every field of messages and tools, unchanged', () => {
    const call = { function: { name: 'add', arguments: { a: 1, b: null, deep: ['x', { y: 0.5 }] } } };
    const tool = { type: 'function', function: { name: 'add', parameters: { type: 'object' } } };
    const text = renderTemplate(
      '{{ messages[0].tool_calls[0] | tojson }}{{ messages[0].content is none }}{{ messages[1].name }}{{ tools | tojson }}',
      [
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', name: 'add', content: '1' },
      ],
      { addGenerationPrompt: false, bosToken: null, eosToken: null, tools: [tool] },
    );
    expect(text.toLowerCase()).toBe(
      '{"function": {"name": "add", "arguments": {"a": 1, "b": null, "deep": ["x", {"y": 0.5}]}}}true' +
        'add[{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]',
    );
  });

  it('refuses messages that are nested without end in sight', () => {
    let deep: JsonValue = [];
    for (let i = 0; i < 100; i++) deep = [deep];
    const open = { addGenerationPrompt: true, bosToken: null, eosToken: null };
    expect(() => renderTemplate('', [{ role: 'user', content: deep }], open)).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_BUDGET' }),
    );
  });

  it('turns raise_exception into an error of the template', () => {
    expect(() => render("{{ raise_exception('no system role') }}")).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_REFUSED' }),
    );
  });

  it('names a template that is not one', () => {
    expect(() => render('{% for %}')).toThrow(expect.objectContaining({ code: 'TEMPLATE_INVALID' }));
  });
});
