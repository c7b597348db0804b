/** @file Words of an English text as NLTK's `word_tokenize` cuts them: sentences first, then the rules of the Penn Treebank. */
import { SPACE, splitWords, WORD } from './python-text.ts';
import { sentences } from './sentences.ts';

type Rule = readonly [RegExp, string];

const END = `[${SPACE}]*$`;
const before = `(?<![${WORD}])`;
const after = `(?![${WORD}])`;

const OPENING_QUOTES: readonly Rule[] = [
  [/([«“‘„]|`+)/gu, ' $1 '],
  [/^"/g, '``'],
  [/(``)/g, ' $1 '],
  [/([ ([{<])("|'{2})/g, '$1 `` '],
  [new RegExp(`${before}(')(?!(?:re|ve|ll|m|t|s|d|n)${after})(?=[${WORD}])`, 'giu'), '$1 '],
];

const PUNCTUATION: readonly Rule[] = [
  [new RegExp(`([^.])(\\.)([\\])}>"'»”’ ]*)${END}`, 'gu'), '$1 $2 $3 '],
  [/([:,])([^\p{Nd}])/gu, ' $1 $2'],
  [/([:,])(?=\n?$)/g, ' $1 '],
  [/\.{2,}/g, ' $& '],
  [/[;@#$%&]/g, ' $& '],
  [/[\u2012-\u2015]/g, ' $& '],
  [new RegExp(`([^.])(\\.)([\\])}>"']*)${END}`, 'gu'), '$1 $2$3 '],
  [/[?!]/g, ' $& '],
  [/([^'])' /gu, "$1 ' "],
  [/\*/g, ' $& '],
  [/[\][(){}<>]/g, ' $& '],
  [/--/g, ' -- '],
];

const CLOSING_QUOTES: readonly Rule[] = [
  [/([»”’])/g, ' $1 '],
  [/''/g, " '' "],
  [/"/g, " '' "],
  [new RegExp(`[${SPACE}]+`, 'gu'), ' '],
  [/([^' ])('[sS]|'[mM]|'[dD]|') /gu, '$1 $2 '],
  [/([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /gu, '$1 $2 '],
];

const CONTRACTIONS: readonly Rule[] = [
  ...['(can)(not)', "(d)('ye)", '(gim)(me)', '(gon)(na)', '(got)(ta)', '(lem)(me)', "(more)('n)"].map(
    (pair): Rule => [new RegExp(`${before}${pair}${after}`, 'giu'), ' $1 $2 '],
  ),
  [new RegExp(`${before}(wan)(na)(?=[${SPACE}])`, 'giu'), ' $1 $2 '],
  [new RegExp(` ('t)(is)${after}`, 'giu'), ' $1 $2 '],
  [new RegExp(` ('t)(was)${after}`, 'giu'), ' $1 $2 '],
];

/** All words and signs of a text. */
export function wordTokens(text: string): string[] {
  return sentences(text).flatMap((sentence) => {
    const opened = apply([...OPENING_QUOTES, ...PUNCTUATION], sentence);
    return splitWords(apply([...CLOSING_QUOTES, ...CONTRACTIONS], ` ${opened} `));
  });
}

function apply(rules: readonly Rule[], text: string): string {
  return rules.reduce((changed, [expression, replacement]) => changed.replace(expression, replacement), text);
}
