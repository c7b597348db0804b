/** @file Instructions about the number of words, sentences and paragraphs. */
import { z } from 'zod';
import { COUNT, compares, instruction, RELATION } from './instruction.ts';
import { count, SPACE, splitWords, strip } from './python-text.ts';
import { countSentences } from './sentences.ts';

/** So many words. */
export const numberOfWords = instruction(
  z.object({ num_words: COUNT, relation: RELATION }),
  ({ num_words, relation }, answer) => compares(countWords(answer), relation, num_words),
);

/** So many sentences. */
export const numberOfSentences = instruction(
  z.object({ num_sentences: COUNT, relation: RELATION }),
  ({ num_sentences, relation }, answer) => compares(countSentences(answer), relation, num_sentences),
);

/** So many paragraphs with three stars between them; one between two dividers may not be empty. */
export const numberOfParagraphs = instruction(z.object({ num_paragraphs: COUNT }), ({ num_paragraphs }, answer) => {
  const paragraphs = answer.split(new RegExp(`[${SPACE}]?\\*\\*\\*[${SPACE}]?`, 'u')).map(strip);
  if (paragraphs.slice(1, -1).includes('')) return false;
  return paragraphs.filter((paragraph) => paragraph !== '').length === num_paragraphs;
});

/** So many paragraphs with an empty line between them, of which one starts with a word. */
export const firstWordOfParagraph = instruction(
  z
    .object({ num_paragraphs: COUNT, nth_paragraph: COUNT, first_word: z.string().min(1) })
    .refine(({ num_paragraphs, nth_paragraph }) => nth_paragraph <= num_paragraphs, 'nth_paragraph is beyond the last'),
  ({ num_paragraphs, nth_paragraph, first_word }, answer) => {
    const paragraphs = answer.split('\n\n').map(strip);
    const filled = paragraphs.filter((paragraph) => paragraph !== '').length;
    // As the authors' program has it: counted without empty paragraphs, and found with them.
    const paragraph = nth_paragraph <= filled ? (paragraphs[nth_paragraph - 1] ?? '') : '';
    if (paragraph === '') return false;
    const [word = ''] = splitWords(paragraph);
    const [letters = ''] = word
      .replace(/^'+/, '')
      .replace(/^"+/, '')
      .toLowerCase()
      .split(/[.,?!'"]/);
    return filled === num_paragraphs && letters === first_word.toLowerCase();
  },
);

/** Words as NLTK's engine finds them: marks of Indic scripts are part of a word, as they are not for Python's own. */
function countWords(text: string): number {
  return count(/[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+/gu, text);
}
