/** @file Chat templates: what transformers renders. Hostile ones are in template-hostile.test.ts. */
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
});
