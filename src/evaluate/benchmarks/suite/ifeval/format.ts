/** @file Instructions about the form of the whole answer: lists, sections, headings, JSON, placeholders, a postscript. */
import { z } from 'zod';
import { COUNT, instruction, NO_SETTINGS } from './instruction.ts';
import { count, SPACE, strip, stripCharacter } from './python-text.ts';

/** Exactly so many lines that begin with a star or a dash. */
export const numberOfBullets = instruction(z.object({ num_bullets: COUNT }), ({ num_bullets }, answer) => {
  const stars = new RegExp(`(?<=^|\\n)[${SPACE}]*\\*[^*][^\\n]*(?=\\n|$)`, 'gu');
  const dashes = new RegExp(`(?<=^|\\n)[${SPACE}]*-[^\\n]*(?=\\n|$)`, 'gu');
  return count(stars, answer) + count(dashes, answer) === num_bullets;
});

/** One of three sentences is said. */
export const constrainedResponse = instruction(NO_SETTINGS, (_, answer) =>
  ['My answer is yes.', 'My answer is no.', 'My answer is maybe.'].some((option) => answer.includes(option)),
);

/** At least so many parts between stars; what stands between two stars each counts for each pair. */
export const numberOfHighlights = instruction(z.object({ num_highlights: COUNT }), ({ num_highlights }, answer) => {
  const single = answer.match(/\*[^\n*]*\*/g) ?? [];
  const double = answer.match(/\*\*[^\n*]*\*\*/g) ?? [];
  const filled = [
    ...single.map((part) => stripCharacter(part, '*')),
    ...double.map((part) => part.slice(2, -2)),
  ].filter((part) => strip(part) !== '');
  return filled.length >= num_highlights;
});

/** At least so many sections that begin with a word and a number. */
export const multipleSections = instruction(
  z.object({ section_spliter: z.string().min(1), num_sections: COUNT }),
  ({ section_spliter, num_sections }, answer) => {
    const heading = new RegExp(`[${SPACE}]?${strip(section_spliter)}[${SPACE}]?\\p{Nd}+[${SPACE}]?`, 'gu');
    return count(heading, answer) >= num_sections;
  },
);

/** The whole answer is JSON, perhaps between Markdown's fences. */
export const jsonFormat = instruction(NO_SETTINGS, (_, answer) => {
  const unfenced = ['```json', '```Json', '```JSON', '```'].reduce(
    (text, fence) => (text.startsWith(fence) ? text.slice(fence.length) : text),
    strip(answer),
  );
  return isJson(strip(unfenced.endsWith('```') ? unfenced.slice(0, -3) : unfenced));
});

/** A title between double angular brackets. */
export const title = instruction(NO_SETTINGS, (_, answer) =>
  (answer.match(/<<[^\n]+>>/g) ?? []).some((found) => strip(found.replace(/^<+/, '').replace(/>+$/, '')) !== ''),
);

/** At least so many parts between square brackets. */
export const numberOfPlaceholders = instruction(
  z.object({ num_placeholders: COUNT }),
  ({ num_placeholders }, answer) => count(/\[[^\n]*?\]/g, answer) >= num_placeholders,
);

/** A postscript, in any case. */
export const postscript = instruction(z.object({ postscript_marker: z.string().min(1) }), (settings, answer) => {
  const marker = strip(settings.postscript_marker);
  const text = answer.toLowerCase();
  if (marker === 'P.P.S') return new RegExp(`p\\.[${SPACE}]?p\\.[${SPACE}]?s`, 'u').test(text);
  if (marker === 'P.S.') return new RegExp(`p\\.[${SPACE}]?s\\.`, 'u').test(text);
  return text.includes(marker.toLowerCase());
});

/** Whether Python's `json.loads` reads it: beside JSON also NaN and infinities. */
function isJson(text: string): boolean {
  const strict = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/gs, (part) =>
    part.startsWith('"') ? part : 'null',
  );
  try {
    JSON.parse(strict);
    return true;
  } catch {
    return false;
  }
}
