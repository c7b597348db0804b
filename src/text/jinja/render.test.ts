/** @file Small templates, each a behaviour of Jinja2, against what transformers' environment makes of them (scripts/fixtures/jinja_cases.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { templateBudgets } from '../template.ts';
import { RaisedByTemplate, TemplateFault } from './faults.ts';
import { BudgetExceeded } from './meter.ts';
import { renderJinja } from './render.ts';

type Case = [template: string, text: string] | [template: string, refused: null, error: string];

const { variables, cases }: { variables: Record<string, unknown>; cases: Record<string, Case[]> } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../test/fixtures/chat-templates/small.json'), 'utf8'),
);
const { steps, outputCharacters: characters, items, nesting } = templateBudgets;

/** The text, or null where the template is refused. */
function render(template: string): string | null {
  try {
    return renderJinja(template, variables, { steps, characters, items, nesting });
  } catch (error) {
    const isRefused =
      error instanceof TemplateFault || error instanceof RaisedByTemplate || error instanceof BudgetExceeded;
    if (isRefused) return null;
    throw error;
  }
}

describe('a template of Jinja2 gives what transformers gives, or is refused by both', () => {
  it.each(Object.entries(cases))('%s', (_, answers) => {
    const ours = answers.map(([template]) => [template, render(template)]);
    expect(ours).toEqual(answers.map(([template, text]) => [template, text]));
  });
});
