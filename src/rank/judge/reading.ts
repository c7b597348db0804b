/** @file What a judge's reply says: from the body of a chat completion to a preference or a rating. Pure; never guesses. */
import { z } from 'zod';
import type { PairLabels, RatingScale } from './prompt.ts';

/** The part of a chat completion that is read. */
export interface JudgeAnswer {
  text: string;
  /** Why the server ended the answer: `stop`, `length` ... */
  finish: string | null;
  /** Log-probabilities of the likeliest first tokens; null where the server gave none. */
  firstToken: ReadonlyMap<string, number> | null;
}

/** Tokens counted by the server. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** What an answer came to. `unreadable`: it names no verdict that the prompt offers. */
export type Reading =
  | { kind: 'value'; value: number; form: 'soft' | 'verdict' }
  | { kind: 'abstained' }
  | { kind: 'unreadable'; reason: string };

const tokenLogProb = z.object({ token: z.string(), logprob: z.number().max(1e-3) });
const count = z.int().min(0);
const completion = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullable() }),
        finish_reason: z.string().nullish(),
        logprobs: z
          .object({
            content: z.array(tokenLogProb.extend({ top_logprobs: z.array(tokenLogProb).nullish() })).nullish(),
          })
          .nullish(),
      }),
    )
    .min(1),
});
const usage = z.object({ usage: z.object({ prompt_tokens: count, completion_tokens: count }) });

/** The answer in the body of a reply, or what is wrong with it. */
export function parseCompletion(body: string): JudgeAnswer | { problem: string } {
  const value = parseJson(body);
  if (value === undefined) return { problem: `the reply is not JSON: ${JSON.stringify(body.slice(0, 60))}` };
  const parsed = completion.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { problem: `the reply is no chat completion: ${issue?.path.join('.') || 'it'}: ${issue?.message ?? ''}` };
  }
  const [choice] = parsed.data.choices;
  const [first] = choice?.logprobs?.content ?? [];
  return {
    text: choice?.message.content ?? '',
    finish: choice?.finish_reason ?? null,
    // The sampled token is in the list as a rule; where it is not, it still counts.
    firstToken:
      first === undefined
        ? null
        : new Map([first, ...(first.top_logprobs ?? [])].map(({ token, logprob }) => [token, logprob])),
  };
}

/** Tokens that a reply says it used; null where it does not say. */
export function parseUsage(body: string): Usage | null {
  const parsed = usage.safeParse(parseJson(body));
  if (!parsed.success) return null;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = parsed.data.usage;
  return { promptTokens, completionTokens };
}

/**
 * Preference for the first response from the probabilities of the first token, as AlpacaEval does
 * (src/alpaca_eval/completion_parsers.py, logprob_parser, https://github.com/tatsu-lab/alpaca_eval at cd543a14): the exact
 * tokens of the labels, one that is missing has probability 0, P(first) / (P(first) + P(second)); a tie is half of each.
 * Null when the server gave no log-probabilities, or none of a label.
 */
export function readLogProbs({ firstToken }: JudgeAnswer, labels: PairLabels): Reading | null {
  if (firstToken === null) return null;
  const probability = (text: string | null): number =>
    text === null ? 0 : Math.exp(firstToken.get(text) ?? Number.NEGATIVE_INFINITY);
  const first = probability(labels.first);
  const second = probability(labels.second);
  const tie = probability(labels.tie);
  const abstain = probability(labels.abstain);
  const judged = first + second + tie;
  if (abstain > judged) return { kind: 'abstained' };
  return judged === 0 ? null : { kind: 'value', value: (first + tie / 2) / judged, form: 'soft' };
}

/** Labels from this length on are also found inside a text; a shorter one ("A") must be the whole answer. */
const QUOTABLE = 3;

/**
 * Preference for the first response from the text: the whole answer is a label (quotes, stars and a full stop around it
 * do not matter), or else the label that stands last in it, since a verdict follows its explanation.
 */
export function readVerdict({ text, finish }: JudgeAnswer, labels: PairLabels): Reading {
  const verdicts: [string | null, Reading][] = [
    [labels.first, verdict(1)],
    [labels.second, verdict(0)],
    [labels.tie, verdict(0.5)],
    [labels.abstain, { kind: 'abstained' }],
  ];
  const bare = text.trim().replaceAll(/^[\s"'`*]+|[\s"'`*.]+$/g, '');
  let found: { at: number; reading: Reading } | null = null;
  for (const [label, reading] of verdicts) {
    if (label === null) continue;
    if (bare === label || text.trim() === label) return reading;
    const at = label.length < QUOTABLE ? -1 : text.lastIndexOf(label);
    if (at >= 0 && at > (found?.at ?? -1)) found = { at, reading };
  }
  return found?.reading ?? unreadable(text, finish, 'a verdict');
}

/** The preference in an answer: log-probabilities where they were asked for and are there, else the text. */
export function readPair(
  answer: JudgeAnswer,
  labels: PairLabels,
  read: 'auto' | 'log-probabilities' | 'text',
): Reading {
  const soft = read === 'text' ? null : readLogProbs(answer, labels);
  if (soft !== null) return soft;
  if (read !== 'log-probabilities') return readVerdict(answer, labels);
  const reason =
    answer.firstToken === null
      ? 'the server gave no log-probabilities: set ask.read to auto or text'
      : `no label is among the likeliest first tokens ${[...answer.firstToken.keys()].map((token) => JSON.stringify(token)).join(', ')}`;
  return { kind: 'unreadable', reason };
}

/**
 * The rating in a text, as MT-Bench finds it (fastchat/llm_judge/common.py, https://github.com/lm-sys/FastChat at
 * 0e6d3e4b): the first `[[number]]`, else the first `[number]`; null where there is none.
 */
export function ratingIn(text: string): number | null {
  const match = /\[\[(\d+\.?\d*)\]\]/.exec(text) ?? /\[(\d+\.?\d*)\]/.exec(text);
  return match === null ? null : Number(match[1]);
}

/** The rating in a judge's answer. One off the scale is no rating. */
export function readRating({ text, finish }: JudgeAnswer, { low, high }: RatingScale): Reading {
  const value = ratingIn(text);
  if (value === null) return unreadable(text, finish, 'a rating');
  if (value >= low && value <= high) return verdict(value);
  return { kind: 'unreadable', reason: `the rating ${value} is not on the scale from ${low} to ${high}` };
}

function verdict(value: number): Reading {
  return { kind: 'value', value, form: 'verdict' };
}

function unreadable(text: string, finish: string | null, what: string): Reading {
  const cut = finish === 'length' ? ' (it was cut: raise maxTokens)' : '';
  const shown = text.length > 80 ? `...${text.slice(-80)}` : text;
  return { kind: 'unreadable', reason: `no ${what.replace(/^a /, '')} in the answer ${JSON.stringify(shown)}${cut}` };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
