/**
 * @file Finds out which weights a server serves, by log-probabilities: of fixed texts if it scores prompts (vLLM), else
 * of a few tokens that it samples. They are compared with our own forward pass, and with the server's numbers for the
 * model before: a server whose reload did nothing gives the same ones to the bit.
 */
import { SamplerError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import type { ServerClient } from './client.ts';
import { completionBody, readCompletion, readScore, scoringBody } from './completion.ts';

/** A sequence of which the server gave the log-probability of the part behind `promptIds`. */
export interface ProbedSequence {
  promptIds: number[];
  continuation: number[];
  /** Summed, in nats, by the server. */
  logProb: number;
}

/** Different in subject, form and script, so that weights which differ anywhere show it somewhere. */
const TEXTS = [
  'Once upon a time there was a little dog who wanted to see the sea.',
  'The capital of France is Paris, and the capital of Japan is Tokyo.',
  'def add(first, second):\n    return first + second\n',
  'Question: what is 17 times 23? Answer: 391, because 17 times 20 is 340.',
  'I am sorry, but I cannot help with that. Is there anything else?',
  'Die Sonne scheint heute, und morgen wird es wieder regnen.',
  '{"name": "Ada", "born": 1815, "languages": ["English", "French"]}',
  'To bake bread you need flour, water, salt, yeast, and some patience.',
];
/** Tokens of each text that are looked at. */
const MOST_TOKENS = 48;
/** Tokens that a server says where it does not score a prompt. */
const SAID_TOKENS = 8;

/** The fixed texts as the server reads them. */
function textIds(tokenizer: Tokenizer): number[][] {
  return TEXTS.map((text) => {
    const ids = tokenizer.encode(text).slice(0, MOST_TOKENS);
    return tokenizer.bosId === null ? ids : [tokenizer.bosId, ...ids];
  });
}

/** Asks a server, one text after the other, so that its sums are made in the same way each time. SamplerError SAMPLER_ANSWER. */
export async function probeServer(
  server: ServerClient,
  { kind, model, tokenizer }: { kind: 'vllm' | 'openai'; model: string; tokenizer: Tokenizer },
): Promise<ProbedSequence[]> {
  const probed: ProbedSequence[] = [];
  for (const ids of textIds(tokenizer)) {
    if (kind === 'vllm') {
      const answer = await server.post('/v1/completions', scoringBody(model, ids));
      const score = answer.ok ? readScore(answer.body, ids, 1) : refusal(answer);
      if ('problem' in score) throw unusable(server.url, score.problem);
      probed.push({ promptIds: ids.slice(0, 1), continuation: ids.slice(1), logProb: score.logProb });
      continue;
    }
    const request = { model, promptIds: ids, stopIds: [], stop: [], seed: 1 };
    // At temperature 1 a server's own and its processed log-probabilities are the same.
    const settings = { temperature: 1, topP: 1, topK: 0, maxNewTokens: SAID_TOKENS };
    const answer = await server.post('/v1/completions', completionBody({ ...request, ...settings }, kind));
    const said = answer.ok ? readCompletion(answer.body, request) : refusal(answer);
    if ('problem' in said) throw unusable(server.url, said.problem);
    if (said.tokenIds.length > 0) probed.push({ promptIds: ids, continuation: said.tokenIds, logProb: said.logProb });
  }
  return probed;
}

function refusal({ status, said }: { status: number; said: string }): { problem: string } {
  return { problem: `it answers ${status} (${said})` };
}

/** What a server that cannot be used is reported by. */
export function unusable(url: string, problem: string): SamplerError {
  return new SamplerError(
    'SAMPLER_ANSWER',
    `Cannot sample at ${url}: ${problem}: everything sampled is kept; correct the server or sampler.kind, and run the same command again`,
    { details: { url } },
  );
}

/** Log-probabilities of sequences on both sides, each summed over its continuation, in nats. */
export interface Probe {
  /** Of the weights that are to be served. */
  sha256: string;
  /** Names the sequences: only sums of the same ones are compared. */
  sequences: string;
  own: number[];
  server: number[];
}

/** What names some sequences. */
export function sequencesName(probed: readonly ProbedSequence[]): string {
  return sha256(JSON.stringify(probed.map(({ promptIds, continuation }) => [promptIds, continuation])));
}

/** Our own sums that differ by no more in all are of the same model. */
const SAME_NATS = 1e-3;
/** A server follows what changed but for this share of it ... */
const MISSED_SHARE = 0.02;
/** ... or but for so many times what the two sides differed by before, which is the noise of its type. */
const NOISE_FACTOR = 5;

/**
 * What is wrong with what a server serves; null where it may be the model. `before` is what it answered for another model:
 * between the two its log-probabilities have to move as ours do. A reload can do nothing (TRL's issue 5312), or leave
 * weights out: vLLM 0.32 on a CPU keeps the old output head where the head is the embedding.
 */
export function probeProblem(
  probe: Probe,
  before: Probe | null,
  { tokens, tolerance }: { tokens: number; tolerance: number },
): { kind: 'other' | 'stale'; problem: string } | null {
  const gap = difference(probe.own, probe.server) / tokens;
  // NaN is no agreement either.
  if (!(gap <= tolerance)) {
    const problem = `its log-probabilities of fixed texts differ from ours by ${gap.toPrecision(3)} nats a token, and sampler.tolerance is ${tolerance}`;
    return { kind: 'other', problem };
  }
  if (before === null || before.sha256 === probe.sha256 || before.sequences !== probe.sequences) return null;
  const moved = difference(probe.own, before.own);
  if (moved <= SAME_NATS) return null;
  if (probe.server.every((value, i) => value === before.server[i]))
    return { kind: 'stale', problem: 'it still answers as the model before, to the bit' };
  const missed = difference(gaps(probe), gaps(before));
  const noise = difference(before.own, before.server);
  if (missed <= MISSED_SHARE * moved || missed <= NOISE_FACTOR * noise) return null;
  const share = ((100 * missed) / moved).toPrecision(2);
  const problem = `it loaded the model in part: its log-probabilities of fixed texts lack ${share} % of what ours moved by since the model before`;
  return { kind: 'stale', problem };
}

/** Server's minus ours. */
function gaps({ own, server }: Probe): number[] {
  return server.map((value, i) => value - (own[i] ?? Number.NaN));
}

/** Summed over the sequences. */
function difference(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? Number.NaN)), 0);
}
