/**
 * @file Sentences of an English text as NLTK finds them: Punkt (Kiss and Strunk 2006, Computational Linguistics 32), with the parameters
 * that its authors learned from newspapers. A full stop ends a sentence unless the word before it is an abbreviation, an initial or an
 * ordinal, and the word after it does not look like a beginning.
 */
import { z } from 'zod';
import { readIfevalAsset } from './assets.ts';
import { isLower, isUpper, SPACE, strip, stripEnd } from './python-text.ts';

/** In which positions a word occurred in the training text: bits of `contexts`. */
const BEGINNING_UPPER = 2;
const MIDDLE_UPPER = 4;
const UNKNOWN_UPPER = 8;
const BEGINNING_LOWER = 16;
const MIDDLE_LOWER = 32;
const UNKNOWN_LOWER = 64;
const ANY_UPPER = BEGINNING_UPPER | MIDDLE_UPPER | UNKNOWN_UPPER;
const ANY_LOWER = BEGINNING_LOWER | MIDDLE_LOWER | UNKNOWN_LOWER;

/** What NLTK counts as letters: its engine follows Unicode's definition of a word. */
const LETTER = String.raw`(?!\p{Nd})[\p{Alphabetic}\p{M}\p{Pc}\p{Join_Control}]`;
const CLOSING = String.raw`"')\]}‘’“”«»`;
const NOT_IN_WORDS = String.raw`[)";}\]*:@'({\[‘’“”«»?!]`;
const RUN_OF_MARKS = `(?:-{2,}|\\.{2,}|(?:\\.[${SPACE}]){2,}\\.)`;

/** A mark that may end a sentence, and what comes after it: a sign, or spaces and a word. */
const POSSIBLE_END = new RegExp(`[.?!](?=(?<after>${NOT_IN_WORDS}|(?<space>[${SPACE}]+)[^${SPACE}]+))`, 'gu');
const REALIGNED = new RegExp(`^[${CLOSING}]+?(?:[${SPACE}]+|(?=--)|(?=\\n|$))`, 'u');
const TOKEN = new RegExp(
  `${RUN_OF_MARKS}|(?=[^("\`{\\[:;&#*@)}\\]\\-,])[^${SPACE}]+?(?=[${SPACE}]|$|${NOT_IN_WORDS}|${RUN_OF_MARKS}|,(?=$|[${SPACE}]|${NOT_IN_WORDS}|${RUN_OF_MARKS}))|[^${SPACE}]`,
  'gu',
);
const NUMBER = /^-?[.,]?\p{Nd}[\p{Nd},.-]*\.?$/u;
const INITIAL = new RegExp(`^${LETTER}\\.$`, 'u');
/** White space to the search for the word before a mark. */
const ASCII_SPACE = /[ \t-\r]/;

interface Parameters {
  abbreviations: ReadonlySet<string>;
  /** Two words with a tab between them. */
  collocations: ReadonlySet<string>;
  starters: ReadonlySet<string>;
  contexts: ReadonlyMap<string, number>;
}

interface Token {
  text: string;
  /** In lower case, numbers as one. */
  type: string;
  kind: 'word' | 'ellipsis' | 'abbreviation' | 'end';
}

/** The sentences of a text. */
export function sentences(text: string): string[] {
  const found: string[] = [];
  const slices = slicesOf(text);
  let moved = 0;
  slices.forEach(([start, end], place) => {
    const from = start + moved;
    moved = 0;
    const next = slices[place + 1];
    const closing = next === undefined ? null : REALIGNED.exec(text.slice(...next));
    if (next === undefined || closing === null) {
      if (from < end) found.push(text.slice(from, end));
      return;
    }
    // Closing quotes and brackets belong to the sentence before them.
    found.push(text.slice(from, next[0] + stripEnd(closing[0]).length));
    moved = closing[0].length;
  });
  return found;
}

/** How many sentences a text has. */
export function countSentences(text: string): number {
  return sentences(text).length;
}

function slicesOf(text: string): [number, number][] {
  const slices: [number, number][] = [];
  let start = 0;
  for (const { at, space, context } of possibleEnds(text)) {
    if (!endsSentence(context)) continue;
    slices.push([start, at + 1]);
    start = at + 1 + space.length;
  }
  slices.push([start, Math.max(start, stripEnd(text).length)]);
  return slices;
}

interface PossibleEnd {
  at: number;
  /** Between the mark and the next word. */
  space: string;
  /** The word before the mark, the mark, and what comes after it. */
  context: string;
}

/** Of marks that follow each other without a space the last one counts. */
function possibleEnds(text: string): PossibleEnd[] {
  const found: PossibleEnd[] = [];
  let word = { start: 0, end: 0 };
  let previous: PossibleEnd | null = null;
  for (const match of text.matchAll(POSSIBLE_END)) {
    const at = match.index;
    const space = lastSpace(text, word.end, at);
    const start = space > word.end ? space + 1 : word.start;
    if (previous !== null && word.end <= start) found.push(previous);
    const { after = '', space: gap = '' } = match.groups ?? {};
    previous = { at, space: gap, context: text.slice(start, at) + match[0] + after };
    word = { start, end: at };
  }
  if (previous !== null) found.push(previous);
  return found;
}

/** Place of the last space in a part of a text; its beginning where there is none, or only there. */
function lastSpace(text: string, start: number, end: number): number {
  for (let at = end - 1; at > start; at--) if (ASCII_SPACE.test(text.charAt(at))) return at;
  return start;
}

/** Whether a token of the text other than the last ends a sentence. */
function endsSentence(text: string): boolean {
  const tokens = text
    .split('\n')
    .filter((line) => strip(line) !== '')
    .flatMap((line) => (line.match(TOKEN) ?? []).map(tokenOf));
  return tokens.some((token, place) => {
    const next = tokens[place + 1];
    return next !== undefined && isEndBefore(token, next);
  });
}

/** By the word alone. */
function tokenOf(text: string): Token {
  const lower = text.toLowerCase();
  const kindOf = (): Token['kind'] => {
    if (text === '.' || text === '?' || text === '!') return 'end';
    if (/^\.\.+$/.test(text)) return 'ellipsis';
    if (!text.endsWith('.') || text.endsWith('..')) return 'word';
    const word = lower.slice(0, -1);
    const { abbreviations } = parameters();
    return abbreviations.has(word) || abbreviations.has(word.split('-').at(-1) ?? '') ? 'abbreviation' : 'end';
  };
  return { text, type: NUMBER.test(lower) ? '##number##' : lower, kind: kindOf() };
}

/** By the word and the one after it. */
function isEndBefore(token: Token, next: Token): boolean {
  const isEnd = token.kind === 'end';
  if (!token.text.endsWith('.')) return isEnd;
  const { collocations, starters, contexts } = parameters();
  const type = withoutPeriod(token.type);
  const nextType = typeBeforeEnd(next);
  if (collocations.has(`${type}\t${nextType}`)) return false;
  const isInitial = INITIAL.test(token.text);
  const start = startsSentence(next);
  if ((token.kind === 'abbreviation' || token.kind === 'ellipsis') && !isInitial) {
    if (start === 'yes') return true;
    if (isUpper(first(next)) && starters.has(nextType)) return true;
  }
  if (!isInitial && type !== '##number##') return isEnd;
  if (start === 'no') return false;
  const isName = isUpper(first(next)) && ((contexts.get(nextType) ?? 0) & ANY_LOWER) === 0;
  return start === 'unknown' && isInitial && isName ? false : isEnd;
}

/** Whether a word looks like the first one of a sentence, by the cases in which it occurred in training. */
function startsSentence(token: Token): 'yes' | 'no' | 'unknown' {
  if (/^[;:,.!?]$/.test(token.text)) return 'no';
  const contexts = parameters().contexts.get(typeBeforeEnd(token)) ?? 0;
  if (isUpper(first(token)) && contexts & ANY_LOWER && !(contexts & MIDDLE_UPPER)) return 'yes';
  if (isLower(first(token)) && (contexts & ANY_UPPER || !(contexts & BEGINNING_LOWER))) return 'no';
  return 'unknown';
}

function first({ text }: Token): string {
  return String.fromCodePoint(text.codePointAt(0) ?? 0);
}

function typeBeforeEnd({ type, kind }: Token): string {
  return kind === 'end' ? withoutPeriod(type) : type;
}

function withoutPeriod(type: string): string {
  return type.length > 1 && type.endsWith('.') ? type.slice(0, -1) : type;
}

let known: Parameters | null = null;

function parameters(): Parameters {
  const texts = z.array(z.string());
  const form = z.object({
    abbreviations: texts,
    collocations: texts,
    starters: texts,
    contexts: z.record(z.string(), z.number()),
  });
  if (known === null) {
    const { abbreviations, collocations, starters, contexts } = readIfevalAsset('sentences', form);
    known = {
      abbreviations: new Set(abbreviations),
      collocations: new Set(collocations),
      starters: new Set(starters),
      contexts: new Map(Object.entries(contexts)),
    };
  }
  return known;
}
