/** @file Chat templates: what transformers renders. Hostile ones are in template-hostile.test.ts. */
import { describe, expect, it } from 'vitest';
import { type JsonObject, type JsonValue, renderTemplate } from './template.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const render = (template: string, turns: JsonObject[] = messages): string =>
  renderTemplate(template, turns, { addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' });

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
    expect(text).toBe(
      '{"function": {"name": "add", "arguments": {"a": 1, "b": null, "deep": ["x", {"y": 0.5}]}}}True' +
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

  it('strips the characters that it is told to, and no others', () => {
    const template =
      "{%- for message in messages %}{{- '<' + message.role + '>' }}" +
      "{%- if message.role == 'assistant' %}{{- message.content.strip('\\n') }}{%- else %}{{- message.content.rstrip('#') }}{%- endif %}{%- endfor %}";
    const turns = [
      { role: 'user', content: 'Complete the body ##' },
      { role: 'assistant', content: '\n    return x + 1  \n' },
    ];
    expect(render(template, turns)).toBe('<user>Complete the body <assistant>    return x + 1  ');
  });

  it('reads line ends of all kinds as one', () => {
    const template =
      '{% for message in messages %}\r\n<|{{ message.role }}|>\r\n{{ message.content }}{{ eos_token }}\r\n{% endfor %}\r\n' +
      '{% if add_generation_prompt %}\r\n<|assistant|>\r\n{% endif %}';
    expect(render(template)).toBe('<|user|>\nHi</s>\n<|assistant|>\n');
  });

  it('knows the escapes of Python in texts, a line that goes on among them', () => {
    const template = "{%- set rules = \"Be kind.\\\n Be brief.\\u00e9\\d\" %}{{- '[RULES]' + rules + '[/RULES]' }}";
    expect(render(template)).toBe('[RULES]Be kind. Be brief.é\\d[/RULES]');
  });

  it('compares as Python does: an empty text is not false', () => {
    const template =
      "{%- set rules = false %}{%- if messages[0].role == 'system' %}{%- set rules = messages[0].content %}{%- endif %}" +
      "{%- if rules != false %}{{- '[RULES]' + rules + '[/RULES]' }}{%- endif %}";
    expect(render(template, [{ role: 'system', content: '' }])).toBe('[RULES][/RULES]');
    expect(render(template)).toBe('');
  });

  it('knows no date: a template that asks whether it is there goes without, one that does not is refused by its name', () => {
    expect(render("{{ strftime_now('%d') if strftime_now is defined else 'a day' }}")).toBe('a day');
    expect(() => render("line\n{{ strftime_now('%Y-%m-%d') }}")).toThrow(/line 2: it calls strftime_now/);
  });

  it('fills the names of a reasoning from each other, as transformers does', () => {
    const template = '{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }};{% endfor %}';
    const turns = [
      { role: 'assistant', content: '', thinking: 'a' },
      { role: 'assistant', content: '', reasoning_content: 'b' },
      { role: 'assistant', content: '', reasoning: 'c', reasoning_content: null },
    ];
    expect(render(template, turns)).toBe('a|a;b|b;c|c;');
  });

  it('gives the same whatever else was rendered between, and however often', () => {
    const template =
      '{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}';
    const first = render(template);
    render('{% set ns = 5 %}{{ ns }}');
    expect([first, render(template)]).toEqual(['1', '1']);
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
