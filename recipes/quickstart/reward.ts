/**
 * @file The quickstart's reward: how kind is the story? From 0 to 1, exactly known, so that every figure of the report
 * can be checked by reading. Half of it is for a kind ending, where somebody helps or shares and then somebody thanks,
 * hugs or smiles: rare in the model's own stories, so that a policy has to find it. Only complete sentences of real
 * words count; words.txt holds them (common words of small stories, and their forms).
 */
import { readFileSync } from 'node:fs';

const KIND = words(`kind nice love loved loves happy friend friends together care caring gentle
  gently sweet brave safe better laugh laughed promise promised please polite friendly play`);
const DEED = words(
  'help helped helps helping share shared shares sharing gave give gives fix fixed save saved rescue rescued',
);
const THANKS = words(
  'thank thanks thanked smile smiled hug hugs hugged hugging kiss kissed welcome glad proud grateful',
);
const SAD =
  words(`sad cry cried crying scared afraid angry mad hurt mean alone lonely upset fight fought yelled hit broke
  broken worried lost bad died hate hated`);
const KNOWN = new Set(readFileSync(new URL('./words.txt', import.meta.url), 'utf8').split('\n'));

/** Scores of a prompt's responses, higher is better: this is the function that `ranker.module` of a recipe names. */
export function reward(_prompt: string, responses: string[]): number[] {
  return responses.map((response) => Math.round(kindness(response) * guard(response) * 1e6) / 1e6);
}

/** How kind, from 0 to 1, by words that stand in complete sentences. A word counts once: repeating it does not pay. */
export function kindness(response: string): number {
  const story = sentences(response).map(words);
  const count = (lexicon: Set<string>) => [...lexicon].filter((word) => story.some((said) => said.has(word))).length;
  // A sentence is kind once, however many kind words it has: a list of them is no story.
  const kindSentences = story.filter((said) => [...KIND].some((word) => said.has(word))).length;
  const kind = Math.min(count(KIND), kindSentences, 4) / 4;
  const deed = story.findIndex((said) => [...DEED].some((word) => said.has(word)));
  const thanks = story.findLastIndex((said) => [...THANKS].some((word) => said.has(word)));
  const kindEnding = deed >= 0 && thanks >= deed ? 1 : 0; // the thanks do not come before the deed
  const score = 0.2 + 0.3 * kind + 0.5 * kindEnding - 0.1 * Math.min(count(SAD), 2);
  return Math.min(1, Math.max(0, score));
}

/** How sound the text is, from 0 (broken) to 1: real words, no repetition, sentences that end. The report plots it. */
export function guard(response: string): number {
  const said = response.toLowerCase().match(/[a-z]+(?:'[a-z]+)?/g) ?? [];
  const whole = said.slice(0, /[.!?]["']?\s*$/.test(response) ? said.length : -1); // the last word may be cut
  if (whole.length < 8) return 0;
  const real = whole.filter((word) => KNOWN.has(word) || KNOWN.has(word.replace(/'s$/, ''))).length / whole.length;
  const pairs = whole.slice(1).map((word, index) => `${whole[index]} ${word}`);
  const different = new Set(pairs).size / pairs.length;
  const lengths = sentences(response).map((sentence) => sentence.split(/\s+/).length);
  const ended = lengths.reduce((total, length) => total + (length >= 3 && length <= 30 ? length : 0), 0);
  const inSentences = ended / response.trim().split(/\s+/).length;
  return ramp(real, 0.8, 0.95) * ramp(different, 0.5, 0.85) * ramp(inSentences, 0.2, 0.6);
}

/** 0 up to `low`, 1 from `high` on, a straight line between. */
function ramp(value: number, low: number, high: number): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

function sentences(text: string): string[] {
  return text.match(/[^.!?]+[.!?]+/g) ?? [];
}

function words(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[a-z']+/g) ?? []);
}
