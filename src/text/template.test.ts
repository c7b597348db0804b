/** @file Chat templates: what transformers renders, and hostile ones, which end with an error and never with the process. */
import { describe, expect, it } from 'vitest';
import { renderTemplate } from './template.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const render = (template: string): string =>
  renderTemplate(template, messages, { addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' });

describe('renderTemplate()', () => {
  it('knows messages, the special tokens and the generation prompt, and trims blocks as transformers does', () => {
    const template =
      '{% for m in messages %}\n  {{ bos_token + m.content + eos_token }}\n{% endfor %}\n{% if add_generation_prompt %}\n[A]{% endif %}';
    expect(render(template)).toBe('  <s>Hi</s>\n[A]');
  });

  it('turns raise_exception into an error of the template', () => {
    expect(() => render("{{ raise_exception('no system role') }}")).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_REFUSED' }),
    );
  });

  it('names a template that is not one', () => {
    expect(() => render('{% for %}')).toThrow(expect.objectContaining({ code: 'TEMPLATE_INVALID' }));
  });

  it.each([
    ['a huge range', '{% for i in range(1000000000) %}{% endfor %}'],
    [
      'nested ranges',
      '{% for i in range(9000) %}{% for j in range(9000) %}{% for k in range(9000) %}{% endfor %}{% endfor %}{% endfor %}',
    ],
    [
      'a text that doubles',
      '{% set ns = namespace(a="xxxxxxxx") %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}',
    ],
    ['a macro that calls itself', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}'],
    ['20,000 parentheses', `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`],
    ['300,000 characters', 'x'.repeat(300_000)],
    [
      'a joined range',
      '{{ range(100000) | join("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") | length }}{{ range(100000) | join("xxxxxxxxxxxxxxxxxxxxxxxxxxxx") }}',
    ],
  ])('ends %s with a typed error, soon', (_, template) => {
    render('warm'); // the thread starts once
    const startedMs = performance.now();
    expect(() => render(template)).toThrow(expect.objectContaining({ name: 'TextError' }));
    // 200 ms of processor time is the promise; on a shared machine the wall shows more.
    expect(performance.now() - startedMs).toBeLessThan(2000);
    expect(render('{{ messages[0].content }}')).toBe('Hi');
  });
});
