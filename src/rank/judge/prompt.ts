/**
 * @file What a judge is asked: a YAML file with a `system` text (optional), a `user` text with named placeholders, and
 * what its answers look like (`answers` for a pair, `scale` for a rating). Checked when it is loaded: a placeholder that
 * is missing or unknown would cost money before anybody saw it.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { RankerError } from '../../errors.ts';
import { fileError } from '../../files/fs.ts';
import { sha256 } from '../../files/hash.ts';
import { messageText } from '../../text/message.ts';
import type { Prompt } from '../../text/rendering.ts';

/** One message of a request. */
export interface JudgeMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** What the judge writes for each verdict; null where the prompt offers no such answer. */
export interface PairLabels {
  first: string;
  second: string;
  tie: string | null;
  abstain: string | null;
}

/** Ends of a rating, both allowed. */
export interface RatingScale {
  low: number;
  high: number;
}

interface Texts {
  system: string | null;
  user: string;
  /** Name of the file and the hash of its content: part of the ranker's id. */
  id: string;
}
export type PairPrompt = Texts & { labels: PairLabels };
export type RatingPrompt = Texts & { scale: RatingScale };

const PLACEHOLDER = /\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

const label = z.string({ error: 'a text' }).trim().min(1, { error: 'a text that is not empty' });
const texts = {
  system: z.string({ error: 'a text' }).nullable().default(null),
  user: z.string({ error: 'a text' }),
};
const pairFile = z.strictObject({
  ...texts,
  answers: z.strictObject({
    first: label,
    second: label,
    tie: label.nullable().default(null),
    abstain: label.nullable().default(null),
  }),
});
const ratingFile = z.strictObject({
  ...texts,
  scale: z
    .strictObject({ low: z.number({ error: 'a number' }), high: z.number({ error: 'a number' }) })
    .refine(({ low, high }) => low < high, { error: 'two numbers, low below high' }),
});

/** A prompt of the package by its name: `alpaca-eval`, `mt-bench-pair`, `mt-bench-rating`. */
export function builtInPrompt(name: 'alpaca-eval' | 'mt-bench-pair' | 'mt-bench-rating'): string {
  return fileURLToPath(new URL(`prompts/${name}.yaml`, import.meta.url));
}

/** Reads the prompt for a pair: placeholders {prompt}, {first} and {second}. Throws RankerError JUDGE_PROMPT. */
export function loadPairPrompt(path: string): PairPrompt {
  const { value, digest } = readYaml(path);
  const file = checked(pairFile, value, { path, keys: 'system, user and answers (first, second, tie, abstain)' });
  checkPlaceholders(file, ['prompt', 'first', 'second'], path);
  const named = Object.entries(file.answers).filter((entry): entry is [string, string] => entry[1] !== null);
  const labels = named.map(([, text]) => text);
  const double = labels.find((text, index) => labels.indexOf(text) !== index);
  if (double !== undefined) throw problem(path, `answers: ${JSON.stringify(double)} stands for two verdicts`);
  return { system: file.system, user: file.user, labels: file.answers, id: idOf(path, digest) };
}

/** Reads the prompt for a rating: placeholders {prompt} and {response}. Throws RankerError JUDGE_PROMPT. */
export function loadRatingPrompt(path: string): RatingPrompt {
  const { value, digest } = readYaml(path);
  const file = checked(ratingFile, value, { path, keys: 'system, user and scale (low, high)' });
  checkPlaceholders(file, ['prompt', 'response'], path);
  return { system: file.system, user: file.user, scale: file.scale, id: idOf(path, digest) };
}

/** The messages of a request. Each placeholder is filled once: text that is filled in is never looked through again. */
export function fillPrompt(
  { system, user }: Pick<Texts, 'system' | 'user'>,
  values: ReadonlyMap<string, string>,
): JudgeMessage[] {
  const fill = (text: string): string =>
    text.replaceAll(PLACEHOLDER, (whole, name: string) => values.get(name) ?? whole);
  return [
    ...(system === null ? [] : [{ role: 'system' as const, content: fill(system) }]),
    { role: 'user', content: fill(user) },
  ];
}

/** A prompt as a judge reads it: the text, the only message's text, or the conversation with its speakers. */
export function conversationText(prompt: Prompt): string {
  if (prompt.kind === 'text') return prompt.text;
  const [only] = prompt.messages;
  if (prompt.messages.length === 1 && only?.role === 'user') return messageText(only);
  return prompt.messages.map((message) => `### ${message.role}:\n${messageText(message)}`).join('\n\n');
}

function readYaml(path: string): { value: unknown; digest: string } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(error, { action: 'read judge prompt', path });
  }
  try {
    return { value: parse(text, { prettyErrors: false, stringKeys: true }), digest: sha256(text) };
  } catch (error) {
    throw problem(path, `it is not YAML: ${error instanceof Error ? error.message.split('\n', 1)[0] : ''}`);
  }
}

function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  { path, keys }: { path: string; keys: string },
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${issue.keys.join(', ')} is unknown`
      : `${issue.path.join('.') || 'the file'} must be ${issue.code === 'invalid_type' && issue.expected === 'object' ? 'a section' : issue.message}`,
  );
  throw problem(path, `${lines.join('; ')}: it has ${keys}`);
}

function checkPlaceholders(
  { system, user }: { system: string | null; user: string },
  names: readonly string[],
  path: string,
): void {
  const found = [...`${system ?? ''}\n${user}`.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
  const allowed = names.map((name) => `{${name}}`).join(', ');
  const unknown = found.find((name) => !names.includes(name));
  if (unknown !== undefined) throw problem(path, `{${unknown}} is no placeholder: allowed are ${allowed}`);
  const missing = names.find((name) => !found.includes(name));
  if (missing !== undefined) throw problem(path, `{${missing}} is missing: the texts must hold ${allowed}`);
}

function idOf(path: string, digest: string): string {
  return `${basename(path)}@${digest.slice(0, 12)}`;
}

function problem(path: string, detail: string): RankerError {
  return new RankerError('JUDGE_PROMPT', `Cannot use judge prompt "${path}": ${detail}`, { details: { path } });
}
