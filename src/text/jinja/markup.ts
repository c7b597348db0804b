/** @file Texts that are safe in HTML: the filters `escape` and `safe`. */
import type { Meter } from './meter.ts';
import { toText } from './printing.ts';
import { Markup, type Value } from './values.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};

/** The text with &, <, >, ' and " written for HTML, unless it is safe already. */
export function escapeMarkup(meter: Meter, value: Value): string {
  return value instanceof Markup ? value.text : escapeText(meter, toText(meter, value));
}

/** The text with &, <, >, ' and " written for HTML. */
export function escapeText(meter: Meter, text: string): string {
  meter.text(text.length);
  const escaped = text.replaceAll(/[&<>'"]/g, (character) => ENTITIES[character] ?? character);
  meter.text(escaped.length);
  return escaped;
}
