/** @file Instructions about words and letters that are to occur, or not. */
import { z } from 'zod';
import { COUNT, compares, instruction, RELATION } from './instruction.ts';
import { count, strip, WORD } from './python-text.ts';

const KEYWORDS = z.array(z.string().min(1)).min(1);

/** All keywords are there, in any case, also inside of words. */
export const keywordExistence = instruction(z.object({ keywords: KEYWORDS }), ({ keywords }, answer) =>
  keywords.every((keyword) => anywhere(keyword).test(answer)),
);

/** A keyword occurs so often, in any case, also inside of words. */
export const keywordFrequency = instruction(
  z.object({ keyword: z.string().min(1), frequency: COUNT, relation: RELATION }),
  ({ keyword, frequency, relation }, answer) => compares(count(anywhere(strip(keyword)), answer), relation, frequency),
);

/** None of the words is there as a word of its own, in any case. */
export const forbiddenWords = instruction(z.object({ forbidden_words: KEYWORDS }), (settings, answer) =>
  settings.forbidden_words.every((word) => !asWord(word).test(answer)),
);

/**
 * A letter occurs so often, in either case. In two rows of the data set the "letter" is `#` or `!`: the authors' program then counts a
 * letter that it draws, and this one what the prompt says.
 */
export const letterFrequency = instruction(
  z.object({ letter: z.string().length(1), let_frequency: COUNT, let_relation: RELATION }),
  ({ letter, let_frequency, let_relation }, answer) => {
    const wanted = letter.toLowerCase();
    const found = [...answer.toLowerCase()].filter((each) => each === wanted).length;
    return compares(found, let_relation, let_frequency);
  },
);

/** The authors' program takes a keyword as an expression; those of the data set are words, for which that is the same. */
function anywhere(keyword: string): RegExp {
  return new RegExp(escaped(keyword), 'giu');
}

/** Between what Python's `\b` means. */
function asWord(word: string): RegExp {
  const edge = `(?:(?<![${WORD}])(?=[${WORD}])|(?<=[${WORD}])(?![${WORD}]))`;
  return new RegExp(`${edge}${escaped(word)}${edge}`, 'iu');
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
