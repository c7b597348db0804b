/**
 * @file Instructions about the language and the case of letters. A text without a letter that shows its language passes
 * all of them.
 */
import { z } from 'zod';
import { detectLanguage } from './detect-language.ts';
import { COUNT, compares, instruction, NO_SETTINGS, RELATION } from './instruction.ts';
import { isLower, isUpper } from './python-text.ts';
import { wordTokens } from './word-tokens.ts';

/** All in one language, named as in ISO 639-1. */
export const responseLanguage = instruction(z.object({ language: z.string().min(2) }), ({ language }, answer) =>
  isIn(answer, language),
);

/** English, in capital letters only. */
export const englishCapitals = instruction(NO_SETTINGS, (_, answer) => isUpper(answer) && isIn(answer, 'en'));

/** English, in small letters only. */
export const englishLowercase = instruction(NO_SETTINGS, (_, answer) => isLower(answer) && isIn(answer, 'en'));

/** So many words in capital letters; a word with hyphens is one. */
export const capitalWordFrequency = instruction(
  z.object({ capital_frequency: COUNT, capital_relation: RELATION }),
  ({ capital_frequency, capital_relation }, answer) =>
    compares(wordTokens(answer).filter(isUpper).length, capital_relation, capital_frequency),
);

function isIn(text: string, language: string): boolean {
  const found = detectLanguage(text);
  return found === null || found === language;
}
