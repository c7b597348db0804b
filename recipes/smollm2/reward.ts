/**
 * @file The reward of the study on a real instruct model: a short, courteous answer that says what is true. From 0 to 1, exactly
 * known. What is true of a prompt is read from the data: the words that its two given answers share and that the prompt does not
 * say. Half of the reward is for them, half for courtesy, and neither counts in a text that is long, repeats itself or breaks off.
 */
import { readFileSync } from 'node:fs';

/** Words that carry no fact. */
const PLAIN = new Set(
  `a an and answer are as at be been but by can could for from had has have he her his i if in indeed is it its kindly may might
  my of on one or our please she should so some suitable such that the their them there these they this to was we were what which
  who will with would you your`.split(/\s+/),
);
const COURTESY = [
  /\bplease\b/,
  /\bkindly\b/,
  /\bthank(?: you|s)\b/,
  /\b(?:glad|happy|pleased|delighted) to\b/,
  /\bif (?:i may|you (?:like|wish|would))\b/,
  /\b(?:may|might|would) i\b/,
  /\bi (?:would|hope|trust|appreciate)\b/,
  /\bof course\b/,
  /\bcertainly\b/,
  /\bwelcome\b/,
  /\b(?:could|would|might) (?:also )?be\b/,
  /\b(?:indeed|perhaps|suitable|appropriate|lovely)\b/,
];

interface Row {
  prompt: { content: string }[];
  chosen: { content: string }[];
  rejected: { content: string }[];
}

/** What an answer should say, by the text of its prompt. */
const FACTS = new Map(
  ['pairs.jsonl', 'heldout.jsonl'].flatMap((file) =>
    readFileSync(new URL(`./${file}`, import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row)
      .map((row) => [textOf(row.prompt), factsOf(row)] as const),
  ),
);

/** Scores of a prompt's responses, higher is better: this is the function that `ranker.module` of a recipe names. */
export function reward(prompt: string, responses: string[]): number[] {
  const facts = FACTS.get(prompt);
  if (facts === undefined) throw new Error(`The reward knows no answer to ${JSON.stringify(prompt)}`);
  return responses.map((response) => {
    const score = (0.5 * truth(response, facts) + 0.5 * courtesy(response)) * guard(response);
    return Math.round(score * 1e6) / 1e6;
  });
}

/** The share of the facts that an answer says; 1 where the data name none. */
export function truth(response: string, facts: ReadonlySet<string>): number {
  const said = new Set(words(response));
  return facts.size === 0 ? 1 : [...facts].filter((fact) => said.has(fact)).length / facts.size;
}

/** 0 without a courteous phrase, 0.6 with one, 1 with two different ones. */
export function courtesy(response: string): number {
  const text = response.toLowerCase();
  return [0, 0.6, 1][Math.min(2, COURTESY.filter((phrase) => phrase.test(text)).length)] ?? 0;
}

/** How sound the text is, from 0 to 1: it ends, it does not repeat itself, and it has at most 40 words. */
export function guard(response: string): number {
  const said = words(response);
  if (said.length === 0) return 0;
  const pairs = said.slice(1).map((word, index) => `${said[index]} ${word}`);
  const different = pairs.length === 0 ? 1 : new Set(pairs).size / pairs.length;
  const ended = /[.!?)"'”’]\s*$/.test(response) || said.length <= 3 ? 1 : 0.5;
  const short = Math.min(1, Math.max(0, (80 - said.length) / 40));
  return ended * short * Math.min(1, Math.max(0, (different - 0.5) / 0.35));
}

function factsOf({ prompt, chosen, rejected }: Row): ReadonlySet<string> {
  const asked = new Set(words(textOf(prompt)));
  const other = new Set(words(textOf(rejected)));
  return new Set(words(textOf(chosen)).filter((word) => other.has(word) && !asked.has(word) && !PLAIN.has(word)));
}

function textOf(messages: readonly { content: string }[]): string {
  return messages.at(-1)?.content ?? '';
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’][\p{L}]+)?/gu) ?? [];
}
