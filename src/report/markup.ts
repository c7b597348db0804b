/**
 * @file HTML that cannot be injected into: the `markup` tag escapes every value but other markup. All text of models,
 * data and users reaches the report through it, as text or inside quoted attributes, never as tags.
 */

/** Text that is already safe HTML. Made by `markup` only. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: text and numbers are escaped, markup stays, lists are joined, null shows nothing. */
export type MarkupValue = string | number | Markup | null | readonly MarkupValue[];

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Template tag for HTML and SVG. Attribute values must stand in double quotes. */
export function markup(parts: TemplateStringsArray, ...values: MarkupValue[]): Markup {
  let text = parts[0] ?? '';
  for (const [index, value] of values.entries()) text += render(value) + (parts[index + 1] ?? '');
  return new Markup(text);
}

/** Escapes text for HTML content and quoted attributes; control characters that no browser shows become U+FFFD. */
export function escapeText(text: string): string {
  return text
    .replace(/[^\P{Cc}\t\n\r]/gu, '\ufffd') // control characters but tab and line ends
    .replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}

function render(value: MarkupValue): string {
  if (value === null) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value));
  return value.map(render).join('');
}
