/**
 * @file The language of a text as langdetect finds it (Shuyo 2010, https://github.com/shuyo/language-detection): naive Bayes over groups of
 * one to three letters, seven times with letters drawn at random. IFEval is defined by it. langdetect starts from a random seed unless
 * it is told one; here it is 0, so that a text always has the same language.
 */
import { z } from 'zod';
import { PythonRandom } from '../../../../python-random.ts';
import { readIfevalAsset } from './assets.ts';
import { isUpper } from './python-text.ts';

const SEED = 0;
const TRIALS = 7;
const SMOOTHING = 0.5;
const SMOOTHING_WIDTH = 0.05;
const COUNTED_PER = 10_000;
const MOST_DRAWS = 1000;
const CERTAIN = 0.99999;
const LEAST_PROBABILITY = 0.1;
const LONGEST_GROUP = 3;
const MOST_LETTERS = 10_000;

const ADDRESS = /https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g;
const MAIL = /[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g;

/** A language's name as langdetect has it (`en`, `zh-cn`), `unknown`, or null for a text that has no letters to tell it by. */
export function detectLanguage(text: string): string | null {
  const { names, groups } = tables();
  const found = lettersOf(text).filter((group) => groups.has(group));
  if (found.length === 0) return null;
  const random = new PythonRandom(SEED);
  const means = new Float64Array(names.length);
  for (let trial = 0; trial < TRIALS; trial++) {
    const weight = (SMOOTHING + random.gauss() * SMOOTHING_WIDTH) / COUNTED_PER;
    const probabilities = new Float64Array(names.length).fill(1 / names.length);
    for (let draw = 0; ; draw++) {
      weigh(probabilities, groups.get(random.choice(found) ?? '') ?? [], weight);
      if (draw % 5 === 0 && (normalise(probabilities) > CERTAIN || draw >= MOST_DRAWS)) break;
    }
    probabilities.forEach((value, place) => {
      means[place] = (means[place] ?? 0) + value / TRIALS;
    });
  }
  const likeliest = means.reduce((best, value, place) => (value > (means[best] ?? 0) ? place : best), 0);
  return (means[likeliest] ?? 0) > LEAST_PROBABILITY ? (names[likeliest] ?? 'unknown') : 'unknown';
}

/** A language's place and how frequent a group of letters is in it. */
type Frequencies = readonly (readonly [number, number])[];

function weigh(probabilities: Float64Array, frequencies: Frequencies, weight: number): void {
  const before = Float64Array.from(probabilities);
  probabilities.forEach((value, place) => {
    probabilities[place] = value * weight;
  });
  for (const [place, frequency] of frequencies) probabilities[place] = (before[place] ?? 0) * (weight + frequency);
}

/** Scales to a sum of one, and returns the largest. */
function normalise(probabilities: Float64Array): number {
  const sum = probabilities.reduce((total, value) => total + value, 0);
  probabilities.forEach((value, place) => {
    probabilities[place] = value / sum;
  });
  return probabilities.reduce((most, value) => Math.max(most, value), 0);
}

/** All groups of letters within words, in order; words in capitals give none. */
function lettersOf(text: string): string[] {
  const found: string[] = [];
  let group = [' '];
  let inCapitals = false;
  for (const each of cleaned(text)) {
    const letter = normalised(each);
    const last = group.at(-1) ?? ' ';
    if (last === ' ') {
      group = [' '];
      inCapitals = false;
    } else if (group.length >= LONGEST_GROUP) {
      group.shift();
    }
    if (last !== ' ' || letter !== ' ') {
      group.push(letter);
      if (!isUpper(letter)) inCapitals = false;
      else if (isUpper(last)) inCapitals = true;
    }
    if (inCapitals) continue;
    for (let size = 1; size <= Math.min(LONGEST_GROUP, group.length); size++) {
      const letters = group.slice(-size).join('');
      if (letters !== ' ') found.push(letters);
    }
  }
  return found;
}

/** Without addresses and repeated spaces; where most letters are of another alphabet, without Latin ones. */
function cleaned(text: string): string[] {
  const { composed } = tables();
  const plain = composed(text.replaceAll(ADDRESS, ' ').replaceAll(MAIL, ' '));
  const letters = [...plain]
    .slice(0, MOST_LETTERS)
    .filter((letter, place, all) => letter !== ' ' || all[place - 1] !== ' ');
  const isLatin = (letter: string): boolean => letter >= 'A' && letter <= 'z' && letter.length === 1;
  const latin = letters.filter(isLatin).length;
  const others = letters.filter((letter) => codeOf(letter) >= 0x300 && !isIn(letter, 0x1e00, 0x1eff)).length;
  return latin * 2 < others ? letters.filter((letter) => !isLatin(letter)) : letters;
}

/** Letters that tell no language apart are made one. */
function normalised(letter: string): string {
  if (isIn(letter, 0, 0x7f)) return /[A-Za-z]/.test(letter) ? letter : ' ';
  if ('\u00a0\u00ab\u00b0\u00bb'.includes(letter) || isIn(letter, 0x2000, 0x206f)) return ' ';
  // Romanian with commas below as with cedillas, Persian yeh as Arabic yeh.
  if (letter === '\u0219') return '\u015f';
  if (letter === '\u021b') return '\u0163';
  if (letter === '\u06cc') return '\u064a';
  if (isIn(letter, 0x1ea0, 0x1eff)) return '\u1ec3';
  if (isIn(letter, 0x3040, 0x309f)) return '\u3042';
  if (isIn(letter, 0x30a0, 0x30ff)) return '\u30a2';
  if (isIn(letter, 0x3100, 0x312f) || isIn(letter, 0x31a0, 0x31bf)) return '\u3105';
  if (isIn(letter, 0x4e00, 0x9fff)) return tables().ideographs.get(letter) ?? letter;
  return isIn(letter, 0xac00, 0xd7af) ? '\uac00' : letter;
}

function isIn(letter: string, from: number, to: number): boolean {
  const code = codeOf(letter);
  return code >= from && code <= to;
}

function codeOf(letter: string): number {
  return letter.codePointAt(0) ?? 0;
}

interface Tables {
  names: readonly string[];
  groups: ReadonlyMap<string, Frequencies>;
  /** An ideograph's representative. */
  ideographs: ReadonlyMap<string, string>;
  /** Vietnamese letters and marks as one letter. */
  composed: (text: string) => string;
}

const FORM = z.object({
  profiles: z.record(z.string(), z.object({ freq: z.record(z.string(), z.number()), n_words: z.array(z.number()) })),
  cjk: z.array(z.string()),
  vietnamese: z.object({ letters: z.string(), marks: z.string(), normalised: z.array(z.string()) }),
});

let known: Tables | null = null;

function tables(): Tables {
  known ??= readTables();
  return known;
}

function readTables(): Tables {
  const { profiles, cjk, vietnamese } = readIfevalAsset('languages', FORM);
  const groups = new Map<string, [number, number][]>();
  Object.values(profiles).forEach(({ freq, n_words }, place) => {
    for (const [letters, times] of Object.entries(freq)) {
      const frequency: [number, number] = [place, times / (n_words[[...letters].length - 1] ?? Number.NaN)];
      const others = groups.get(letters);
      if (others === undefined) groups.set(letters, [frequency]);
      else others.push(frequency);
    }
  });
  const ideographs = cjk.flatMap((list) => [...list].map((each): [string, string] => [each, list.charAt(0)]));
  const { letters, marks, normalised: combined } = vietnamese;
  const pair = new RegExp(`([${letters}])([${marks}])`, 'gu');
  const composed = (text: string): string =>
    text.replaceAll(pair, (whole, letter: string, mark: string) => {
      return combined[marks.indexOf(mark)]?.charAt(letters.indexOf(letter)) ?? whole;
    });
  return { names: Object.keys(profiles), groups, ideographs: new Map(ideographs), composed };
}
