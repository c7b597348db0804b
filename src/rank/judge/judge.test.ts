/** @file The judge against a real HTTP server on loopback: what it makes of answers, and of a server that misbehaves. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { randomKey, uniformAt } from '../../random.ts';
import { rankerSchema } from '../../recipe/rankers.ts';
import type { RankerSettings } from '../../recipe/schema.ts';
import { openAnswerFile } from '../answer-file.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { type AnswerStore, memoryAnswers, type RawAnswer } from '../services.ts';
import { type JudgeSettings, openJudge } from './judge.ts';
import { type Act, completion, type JudgeServer, type SeenRequest, startServer } from './server.testing.ts';

const ENVIRONMENT = { JUDGE_KEY: 'sk-very-secret' };

/** A prompt file whose question is easy to take apart again: P|first|second. */
const PAIR_PROMPT = {
  user: '{prompt}|{first}|{second}',
  answers: { first: 'A', second: 'B', tie: 'tie', abstain: 'cannot say' },
};
const RATING_PROMPT = { user: '{prompt}|{response}', scale: { low: 1, high: 10 } };

async function serve(act: (request: SeenRequest) => Act): Promise<JudgeServer> {
  const server = await startServer(act);
  onTestFinished(() => server.close());
  return server;
}

/** Settings with the small prompts above; `ask.read` is text unless it is given. */
function settings(url: string, changes: Record<string, unknown> = {}): JudgeSettings {
  const ask = { kind: 'pairwise', ...(changes.ask as object) };
  const prompt = join(temporaryFolder(), 'prompt.yaml');
  writeFileSync(prompt, stringify(ask.kind === 'rating' ? RATING_PROMPT : PAIR_PROMPT));
  const read = ask.kind === 'rating' ? {} : { read: 'text' };
  const parsed: RankerSettings = rankerSchema.parse({
    kind: 'judge',
    model: 'test-judge',
    baseUrl: url,
    ...changes,
    ask: { ...read, prompt, ...ask },
  });
  if (parsed.kind !== 'judge') throw new Error('not a judge');
  return parsed;
}

interface Kept {
  store: AnswerStore;
  answers: [key: string, answer: RawAnswer][];
}

/** A store that can be looked into. */
function keep(): Kept {
  const answers: Kept['answers'] = [];
  const inner = memoryAnswers();
  const store: AnswerStore = {
    ...inner,
    put: (key, answer) => {
      answers.push([key, answer]);
      inner.put(key, answer);
    },
  };
  return { store, answers };
}

function item(promptId: string, texts: readonly string[]): RankItem {
  return {
    promptId,
    prompt: { kind: 'text', text: promptId },
    candidates: texts.map((text, sampleIndex) => ({ kind: 'response', sampleIndex, text })),
  };
}

async function* stream(items: readonly RankItem[]): AsyncGenerator<RankItem> {
  yield* items;
}

interface RankOptions {
  kept?: Kept;
  signal?: AbortSignal;
  warn?: (text: string) => void;
  onRanking?: (ranking: Ranking) => void;
}

/** All rankings, with back-off a thousand times as short as by default. */
async function rank(judge: JudgeSettings, items: readonly RankItem[], options: RankOptions = {}): Promise<Ranking[]> {
  const { kept = keep(), signal, warn, onRanking } = options;
  const services = { answers: () => kept.store, signal, ...(warn === undefined ? {} : { warn }) };
  const ranker = openJudge(judge, services, { environment: ENVIRONMENT, backoffMs: 1 });
  const rankings: Ranking[] = [];
  for await (const ranking of ranker.rank(stream(items))) {
    onRanking?.(ranking);
    rankings.push(ranking);
  }
  await ranker.close();
  return rankings;
}

const ok = (text: string, logProbs?: Record<string, number>): Act => ({
  kind: 'reply',
  body: completion(text, logProbs ?? null),
});

/** The parts of a question: prompt, first shown, second shown. */
function partsOf(request: SeenRequest): [string, string, string] {
  const [prompt = '', first = '', second = ''] = (request.body.messages.at(-1)?.content ?? '').split('|');
  return [prompt, first, second];
}

/** The honest judge: the longer text is better. */
function preferLonger(request: SeenRequest): Act {
  const [, first, second] = partsOf(request);
  return ok(first.length === second.length ? 'tie' : first.length > second.length ? 'A' : 'B');
}

const TEXTS = ['bb', 'a', 'cccc', 'ddd'];

test('a pairwise judge asks every pair in both orders and ranks by mean preference', async () => {
  const server = await serve(preferLonger);
  const kept = keep();
  const [ranking] = await rank(settings(server.url), [item('p', TEXTS)], { kept });
  expect(ranking).toMatchObject({ promptId: 'p', order: [2, 3, 0, 1], ties: [] });
  expect(ranking?.scores).toEqual([1 / 3, 0, 1, 2 / 3]);
  const asked = server.requests.map((request) => partsOf(request).slice(1).join(' ')).sort();
  const all = TEXTS.flatMap((a) => TEXTS.filter((b) => b !== a).map((b) => `${a} ${b}`)).sort();
  expect(asked).toEqual(all);
  // Every judgement leads to its raw answer.
  expect(ranking?.judgements).toHaveLength(12);
  const first = ranking?.judgements?.[0];
  expect(first).toMatchObject({ shown: [0, 1], value: 1 });
  expect(kept.store.get(first?.answerKey ?? '')).toBe(completion('A'));
});

test('equal texts are one response: asked about once, and tied', async () => {
  const server = await serve(preferLonger);
  const [ranking, alone] = await rank(settings(server.url), [item('p', ['aa', 'b', 'aa']), item('q', ['x', 'x'])]);
  expect(server.requests).toHaveLength(2);
  expect(ranking).toMatchObject({ scores: [1, 0, 1], order: [0, 2, 1], ties: [[0, 2]] });
  expect(alone).toMatchObject({ scores: [0.5, 0.5], ties: [[0, 1]], judgements: [] });
});

test('a judge that always prefers what it saw first decides nothing, in words and in probabilities', async () => {
  const words = await serve(() => ok('A'));
  expect((await rank(settings(words.url), [item('p', ['x', 'yy'])]))[0]).toMatchObject({
    scores: [0.5, 0.5],
    ties: [[0, 1]],
  });
  const soft = await serve(() => ok('A', { A: Math.log(0.75), B: Math.log(0.25) }));
  const [ranking] = await rank(settings(soft.url, { ask: { read: 'auto' } }), [item('p', ['x', 'yy'])]);
  expect(ranking).toMatchObject({ scores: [0.5, 0.5], ties: [[0, 1]] });
});

test('log-probabilities of both orders are averaged', async () => {
  const server = await serve((request) => {
    const p = partsOf(request)[1] === 'x' ? 0.9 : 0.3; // P(first) of x shown first, of yy shown first
    return ok('?', { A: Math.log(p * 0.5), B: Math.log((1 - p) * 0.5), other: Math.log(0.5) });
  });
  const [ranking] = await rank(settings(server.url, { ask: { read: 'log-probabilities' } }), [item('p', ['x', 'yy'])]);
  // (0.9 + (1 - 0.3)) / 2 = 0.8, up to rounding of exp and log.
  expect(ranking?.scores?.[0]).toBeCloseTo(0.8, 12);
  expect(server.requests[0]?.body).toMatchObject({ logprobs: true, top_logprobs: 5, temperature: 0, max_tokens: 8 });
});

test('a tie is a verdict, an abstention is none, and neither stops the run', async () => {
  const server = await serve((request) => ok(partsOf(request)[0] === 'p' ? 'tie' : 'cannot say'));
  const [tie, abstained] = await rank(settings(server.url), [item('p', ['x', 'yy']), item('q', ['x', 'yy'])]);
  expect(tie).toMatchObject({ scores: [0.5, 0.5], ties: [[0, 1]] });
  expect(abstained).toMatchObject({ scores: null, order: [], problem: 'the judge abstained' });
  expect(abstained?.judgements?.map(({ value }) => value)).toEqual([null, null]);
});

test('with one opponent each response meets the chosen of the data, in a drawn order when that is asked for', async () => {
  const server = await serve(preferLonger);
  const judge = settings(server.url, { ask: { opponents: 'one', orders: 'random' } });
  const four: RankItem = { ...item('p', TEXTS) };
  four.candidates.push({ kind: 'chosen', sampleIndex: null, text: 'eee' });
  const [ranking] = await rank(judge, [four]);
  expect(server.requests).toHaveLength(4);
  expect(server.requests.every((request) => partsOf(request).includes('eee'))).toBe(true);
  expect(ranking?.scores).toEqual([0, 0, 1, 0.5, (1 + 1 + 0 + 0.5) / 4]);
});

test('a rating judge gives each response its number, and one off the scale is no rating', async () => {
  const server = await serve((request) => {
    const [, response] = partsOf(request);
    return ok(`I think [1] of it. Rating: [[${response.length * 2.5}]]`);
  });
  const judge = settings(server.url, { ask: { kind: 'rating' }, onError: 'drop' });
  const [good, bad] = await rank(judge, [item('p', ['xx', 'yyyy', 'zz']), item('q', ['x', 'yyyyyyy'])]);
  expect(good).toMatchObject({ scores: [5, 10, 5], order: [1, 0, 2], ties: [[0, 2]] });
  expect(bad).toMatchObject({
    scores: null,
    problem: expect.stringContaining('17.5 is not on the scale from 1 to 10'),
  });
  expect(server.requests.filter((request) => request.body.logprobs !== undefined)).toEqual([]);
});

/** Bad replies; a server works through them before it answers. */
const MISDEEDS: readonly Act[] = [
  { kind: 'reply', status: 500, body: '{"error":{"message":"boom"}}' },
  { kind: 'reply', status: 429, headers: { 'retry-after': '0.01' }, body: 'slow down' },
  { kind: 'cut', body: completion('A') },
  { kind: 'hang up' },
  { kind: 'reply', body: '<html><body>A gateway says hello</body></html>' },
  { kind: 'reply', body: '{"choices":"A"}' },
  { kind: 'reply', body: '{"choices":[]}' },
  { kind: 'reply', status: 503, body: '' },
];

test('a server that fails in every way before it answers loses, doubles and invents no pair', async () => {
  const server = await serve((request) => {
    // Each question meets two misdeeds, and all of them come up.
    if (request.time > 2) return preferLonger(request);
    return MISDEEDS[request.index % MISDEEDS.length] as Act;
  });
  const kept = keep();
  const items = Array.from({ length: 8 }, (_, i) =>
    item(
      `prompt ${i}`,
      [...'abc'].map((c, j) => c.repeat(1 + ((i + j) % 3))),
    ),
  );
  const rankings = await rank(settings(server.url, { concurrency: 4 }), items, { kept });
  expect(rankings.map(({ promptId }) => promptId)).toEqual(items.map(({ promptId }) => promptId));
  for (const [index, { scores }] of rankings.entries()) {
    expect(scores).toEqual([0, 1, 2].map((j) => [0, 0.5, 1][(index + j) % 3]));
  }
  const good = kept.answers.filter(([, { outcome }]) => outcome === 'answer');
  expect(good).toHaveLength(8 * 3 * 2);
  expect(new Set(good.map(([key]) => key)).size).toBe(8 * 3 * 2);
  // What came of the bad replies is kept too; a connection that was closed without a word brought nothing.
  const problems = kept.answers.filter(([, { outcome }]) => outcome === 'problem').map(([, { text }]) => text);
  for (const sign of [
    'boom',
    'slow down',
    'connection was cut',
    'gateway says hello',
    'no chat completion',
    'HTTP 503',
  ])
    expect(
      problems.some((text) => text.includes(sign)),
      sign,
    ).toBe(true);
  expect(server.mostOpen).toBeLessThanOrEqual(4);
});

test.each([1, 2, 3])(
  'whatever a server does at random (%i), each prompt has its true ranking or a problem, once and in order',
  async (seed) => {
    const key = randomKey(seed, 'chaos');
    const server = await serve((request) => {
      // One half of the requests meet a misdeed, some of them an answer that names no verdict.
      const draw = uniformAt(key, request.index) * 2 * (MISDEEDS.length + 1);
      return MISDEEDS[Math.floor(draw)] ?? (draw < MISDEEDS.length + 1 ? ok('hm') : preferLonger(request));
    });
    const items = Array.from({ length: 10 }, (_, i) => item(`prompt ${i}`, ['x', 'yy', 'zzz'].slice(i % 2)));
    const kept = keep();
    // Enough retries that the server is never taken for gone: one half to the power of 30.
    const rankings = await rank(settings(server.url, { retries: 30, onError: 'drop', concurrency: 5 }), items, {
      kept,
    });
    expect(rankings.map(({ promptId }) => promptId)).toEqual(items.map(({ promptId }) => promptId));
    for (const [index, { order, problem }] of rankings.entries()) {
      if (problem === undefined) expect(order).toEqual(index % 2 === 0 ? [2, 1, 0] : [1, 0]);
      else expect(problem).toContain('no verdict in the answer "hm"');
    }
    const good = kept.answers.filter(([, { outcome }]) => outcome === 'answer').map(([name]) => name);
    expect(good).toHaveLength(5 * 6 + 5 * 2);
    expect(new Set(good).size).toBe(good.length);
    expect(rankings.filter(({ problem }) => problem !== undefined).length).toBeGreaterThan(0);
  },
);

test('a question that cannot be answered leaves its prompt out, or stops the run, which goes on without asking anything twice', async () => {
  let broken = true;
  const server = await serve((request) => {
    if (broken && partsOf(request)[0] === 'bad') return { kind: 'reply', status: 500, body: 'no' };
    return preferLonger(request);
  });
  const items = [item('good', ['x', 'yy']), item('bad', ['x', 'yy']), item('fine', ['xxx', 'yy'])];
  const dropped = await rank(settings(server.url, { onError: 'drop', retries: 1 }), items);
  expect(dropped.map(({ problem }) => problem)).toEqual([undefined, 'HTTP 500 no, after 2 requests', undefined]);

  const kept = keep();
  const stopping = settings(server.url, { retries: 1 });
  const seen: string[] = [];
  await expect(rank(stopping, items, { kept, onRanking: ({ promptId }) => seen.push(promptId) })).rejects.toMatchObject(
    { code: 'JUDGE_FAILED', exitCode: 1, message: expect.stringContaining('prompt bad') },
  );
  expect(seen).toEqual(['good']);
  broken = false;
  const before = server.requests.length;
  expect(await rank(stopping, items, { kept })).toHaveLength(3);
  expect(server.requests.slice(before).map((request) => partsOf(request)[0])).toEqual(['bad', 'bad']);
});

test('an answer that names no verdict is kept, is not asked for again, and makes no pair', async () => {
  const server = await serve((request) => ok(partsOf(request)[0] === 'odd' ? 'Both are lovely: A, B' : 'B'));
  const kept = keep();
  const judge = settings(server.url, { onError: 'drop' });
  const items = [item('odd', ['x', 'yy'])];
  const [ranking] = await rank(judge, items, { kept });
  expect(ranking?.problem).toBe('no verdict in the answer "Both are lovely: A, B"');
  expect(kept.answers.map(([, { outcome }]) => outcome)).toEqual(['answer', 'answer']);
  await rank(judge, items, { kept });
  expect(server.requests).toHaveLength(2);
});

test('a server that is not there ends the run with its address and nothing left out, whatever onError says', async () => {
  const server = await startServer(preferLonger);
  await server.close();
  const kept = keep();
  const running = rank(settings(server.url, { onError: 'drop', retries: 2 }), [item('p', ['x', 'yy'])], { kept });
  await expect(running).rejects.toMatchObject({
    code: 'JUDGE_UNAVAILABLE',
    exitCode: 1,
    message: expect.stringMatching(/test-judge.*ECONNREFUSED.*after 3 requests.*run the same command again/),
  });
  expect(kept.answers).toEqual([]);
});

test('the key comes from the named variable, goes into the header, and is seen nowhere else', async () => {
  const echo = await serve((request) => ({
    kind: 'reply',
    status: 401,
    body: JSON.stringify({ error: { message: `Incorrect key ${request.headers.authorization}` } }),
  }));
  const kept = keep();
  const named = settings(echo.url, { apiKeyVariable: 'JUDGE_KEY' });
  const refused = await rank(named, [item('p', ['x', 'yy'])], { kept }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'JUDGE_REFUSED', exitCode: 1, message: expect.stringContaining('[key]') });
  expect(echo.requests[0]?.headers.authorization).toBe('Bearer sk-very-secret');
  expect(JSON.stringify([refused, kept.answers, String(refused)])).not.toContain('very-secret');

  const talkative = await serve(() => ok('A because your key is sk-very-secret'));
  const [ranking] = await rank(
    settings(talkative.url, { apiKeyVariable: 'JUDGE_KEY', onError: 'drop' }),
    [item('p', ['x', 'y'])],
    { kept },
  );
  expect(JSON.stringify([ranking, kept.answers])).not.toContain('very-secret');
});

test('a stand-in for a key that a local server wants is no secret, and does not spoil its answers', async () => {
  const server = await serve(preferLonger);
  const services = { answers: () => memoryAnswers() };
  const ranker = openJudge(settings(server.url, { apiKeyVariable: 'KEY' }), services, { environment: { KEY: 'o' } });
  const rankings: Ranking[] = [];
  for await (const ranking of ranker.rank(stream([item('p', ['x', 'yy'])]))) rankings.push(ranking);
  expect(server.requests[0]?.headers.authorization).toBe('Bearer o');
  expect(rankings[0]?.order).toEqual([1, 0]);
});

test('a judge without the key it needs is refused before anything is asked; one that needs none sends none', async () => {
  const server = await serve(preferLonger);
  const services = { answers: () => memoryAnswers() };
  expect(() => openJudge(settings(server.url, { apiKeyVariable: 'NOT_SET' }), services, { environment: {} })).toThrow(
    expect.objectContaining({ code: 'JUDGE_KEY_MISSING', exitCode: 2, message: expect.stringContaining('NOT_SET') }),
  );
  await rank(settings(server.url), [item('p', ['x', 'yy'])]);
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
});

test('a budget of calls stops before it is passed; raised, the run goes on where it was', async () => {
  const server = await serve(preferLonger);
  const items = Array.from({ length: 6 }, (_, i) => item(`p${i}`, ['x', 'yy']));
  const kept = keep();
  const running = rank(settings(server.url, { budget: { calls: 7 }, onError: 'drop' }), items, { kept });
  await expect(running).rejects.toMatchObject({ code: 'JUDGE_BUDGET', message: expect.stringContaining('7 calls') });
  expect(server.requests).toHaveLength(7);
  expect(kept.answers).toHaveLength(7);
  // Every prompt text differs, so no answer serves two questions.
  expect(await rank(settings(server.url, { budget: { calls: 12 } }), items, { kept })).toHaveLength(6);
  expect(server.requests).toHaveLength(12);
});

test('a budget of money counts the tokens that the server reports, and needs it to report them', async () => {
  const server = await serve(preferLonger);
  // 100 prompt tokens and 10 of the answer each: 0.0012 a call, of which a third would pass the limit.
  const money = { limit: 0.003, promptPrice: 10, completionPrice: 20 };
  const items = Array.from({ length: 4 }, (_, i) => item(`p${i}`, ['x', 'yy']));
  const cheap = settings(server.url, { budget: { money }, maxTokens: 10, concurrency: 1 });
  await expect(rank(cheap, items)).rejects.toMatchObject({ code: 'JUDGE_BUDGET' });
  expect(server.requests).toHaveLength(2);

  const silent = await serve(() => ({
    kind: 'reply',
    body: JSON.stringify({ choices: [{ message: { content: 'A' } }] }),
  }));
  const blind = settings(silent.url, { budget: { money }, maxTokens: 10, concurrency: 1 });
  await expect(rank(blind, items)).rejects.toMatchObject({ code: 'JUDGE_USAGE' });
  expect(silent.requests).toHaveLength(1);
});

test('a budget of money is not passed by requests side by side: of eight that cost all of it, one is sent', async () => {
  const server = await serve(() => ({ ...ok('A'), delayMs: 20 }));
  // 100 prompt tokens and 10 of the answer: 1.0 a call, though the few bytes sent could not have cost that much.
  const money = { limit: 1, promptPrice: 9000, completionPrice: 10_000 };
  const items = Array.from({ length: 4 }, (_, i) => item(`p${i}`, ['x', 'yy']));
  const judge = settings(server.url, { budget: { money }, maxTokens: 10, concurrency: 8 });
  const kept = keep();
  await expect(rank(judge, items, { kept })).rejects.toMatchObject({
    code: 'JUDGE_BUDGET',
    message: expect.stringContaining('its budget of 1 is spent (1.0000 used)'),
  });
  expect(server.requests).toHaveLength(1);
  // Raised to three and a half calls, it sends two more: the answer that is kept is paid for.
  const raised = settings(server.url, { budget: { money: { ...money, limit: 3.5 } }, maxTokens: 10, concurrency: 8 });
  await expect(rank(raised, items, { kept })).rejects.toMatchObject({ code: 'JUDGE_BUDGET' });
  expect(server.requests).toHaveLength(3);
});

test('Retry-After is waited for by all requests, and one beyond five minutes ends the run', async () => {
  let freeAtMs = 0;
  const server = await serve((request) => {
    if (request.index === 0) {
      freeAtMs = performance.now() + 150;
      return { kind: 'reply', status: 429, headers: { 'retry-after': '0.15' }, body: '' };
    }
    return preferLonger(request);
  });
  const arrivals: number[] = [];
  const judge = settings(server.url, { concurrency: 1 });
  await rank(judge, [item('p', ['x', 'yy', 'zzz'])], { onRanking: () => arrivals.push(performance.now()) });
  // Timers of Node may fire a millisecond early.
  expect(arrivals[0]).toBeGreaterThan(freeAtMs - 2);
  expect(server.requests).toHaveLength(7);

  const busy = await serve(() => ({ kind: 'reply', status: 429, headers: { 'retry-after': '3600' }, body: '' }));
  await expect(rank(settings(busy.url), [item('p', ['x', 'yy'])])).rejects.toMatchObject({
    code: 'JUDGE_UNAVAILABLE',
    message: expect.stringContaining('wait 3600 s'),
  });
});

test('many requests that wait together are no leak to warn of', async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  const server = await serve((request) =>
    request.time === 1
      ? { kind: 'reply', status: 429, headers: { 'retry-after': '0.1' }, body: '' }
      : preferLonger(request),
  );
  const items = Array.from({ length: 20 }, (_, i) => item(`p${i}`, ['x', 'yy']));
  const signal = new AbortController().signal;
  expect(await rank(settings(server.url, { concurrency: 20 }), items, { signal })).toHaveLength(20);
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
});

test('a reply that takes longer than timeoutMs, head or body, is a failed request', async () => {
  const server = await serve((request) => {
    if (request.time > 1) return preferLonger(request);
    const isFirst = partsOf(request)[1] === 'x';
    return isFirst ? { kind: 'reply', body: '', delayMs: 5000 } : { kind: 'stall', body: completion('A') };
  });
  const kept = keep();
  // Far more than an honest reply takes on a busy machine.
  const [ranking] = await rank(settings(server.url, { timeoutMs: 1000 }), [item('p', ['x', 'yy'])], { kept });
  expect(ranking?.order).toEqual([1, 0]);
  const problems = kept.answers.filter(([, { outcome }]) => outcome === 'problem').map(([, { text }]) => text);
  expect(problems.filter((text) => text.startsWith('no reply within 1000 ms'))).toHaveLength(1);
  expect(problems.filter((text) => text.startsWith('no whole reply within 1000 ms'))).toHaveLength(1);
});

test('what a server sends is never more than a megabyte, and never moves the cursor of a terminal', async () => {
  const server = await serve((request) =>
    partsOf(request)[1] === 'x'
      ? { kind: 'reply', body: ' '.repeat(2 ** 21) }
      : { kind: 'reply', status: 400, body: `bad\n\u001b[2Jnews${' '.repeat(2 ** 21)}` },
  );
  const kept = keep();
  const judge = settings(server.url, { retries: 0, onError: 'drop' });
  const [ranking] = await rank(judge, [item('p', ['x', 'yy'])], { kept });
  const problems = kept.answers.map(([, { text }]) => text.split('\n', 1)[0]).sort();
  expect(problems).toEqual(['HTTP 400 bad [2Jnews', 'the reply is longer than 1 MiB']);
  expect(kept.answers.every(([, { text }]) => text.length < 3000)).toBe(true);
  expect(ranking?.problem).toMatch(/longer than 1 MiB|HTTP 400/);
});

test('a server that refuses a parameter is asked without it, and a person is told', async () => {
  const server = await serve((request) => {
    const refuse = (message: string): Act => ({
      kind: 'reply',
      status: 400,
      body: JSON.stringify({ error: { message } }),
    });
    if (request.body.logprobs) return refuse('logprobs are not supported by this model');
    if (request.body.max_tokens !== undefined) return refuse("Use 'max_completion_tokens' instead of 'max_tokens'");
    return preferLonger(request);
  });
  const told: string[] = [];
  const judge = settings(server.url, { ask: { read: 'auto' }, concurrency: 3 });
  const [ranking] = await rank(judge, [item('p', ['x', 'yy', 'zzz'])], { warn: (text) => told.push(text) });
  expect(ranking?.order).toEqual([2, 1, 0]);
  expect(told).toEqual([expect.stringContaining('log-probabilities')]);
  expect(server.requests.at(-1)?.body).toMatchObject({ max_completion_tokens: 8 });
  // Required log-probabilities that are refused are an error that says what to set.
  const strict = settings(server.url, { ask: { read: 'log-probabilities' } });
  await expect(rank(strict, [item('p', ['x', 'yy'])])).rejects.toMatchObject({ code: 'JUDGE_FAILED' });
});

test('an aborted signal ends the ranking with its reason, even while a request waits to be repeated', async () => {
  const controller = new AbortController();
  const server = await serve(() => {
    setTimeout(() => controller.abort(new Error('the user stopped')), 20);
    return { kind: 'reply', status: 429, headers: { 'retry-after': '60' }, body: '' };
  });
  const startedMs = performance.now();
  const running = rank(settings(server.url), [item('p', ['x', 'yy'])], { signal: controller.signal });
  await expect(running).rejects.toThrow('the user stopped');
  expect(performance.now() - startedMs).toBeLessThan(5000);
});

test('a redirect is not followed: nothing goes to a server that nobody named', async () => {
  const other = await serve(preferLonger);
  const server = await serve(() => ({ kind: 'reply', status: 307, headers: { location: other.url }, body: '' }));
  await expect(rank(settings(server.url, { retries: 0 }), [item('p', ['x', 'yy'])])).rejects.toMatchObject({
    code: 'JUDGE_UNAVAILABLE',
  });
  expect(other.requests).toEqual([]);
});

test('a process that is killed while it ranks asks nothing twice that was answered, and ends with the same rankings', async () => {
  const server = await serve((request) => ({
    ...(preferLonger(request) as Extract<Act, { kind: 'reply' }>),
    delayMs: 3,
  }));
  const folder = temporaryFolder();
  const judge = settings(server.url, { concurrency: 2 });
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(judge));
  const script = new URL('rank-child.testing.ts', import.meta.url).pathname;
  const items = Array.from({ length: 30 }, (_, i) => item(`p${i}`, ['x', 'yy']));
  writeFileSync(join(folder, 'items.json'), JSON.stringify(items));
  const answers = join(folder, 'answers.jsonl');
  const codes: (number | null)[] = [];
  for (const killAfter of [5, 35, Number.POSITIVE_INFINITY]) {
    await new Promise<void>((resolve) => {
      const child = spawn(process.execPath, ['--import', 'tsx', script, folder], { stdio: 'ignore' });
      const timer = setInterval(() => {
        if (server.requests.length >= killAfter) child.kill('SIGKILL');
      }, 1);
      child.on('close', (code) => {
        clearInterval(timer);
        codes.push(code);
        resolve();
      });
    });
  }
  expect(codes).toEqual([null, null, 0]);
  const again = JSON.parse(readFileSync(join(folder, 'rankings.json'), 'utf8')) as Ranking[];
  expect(again.map(({ order }) => order)).toEqual(items.map(() => [1, 0]));
  // At each of two kills at most the two requests under way are lost.
  expect(server.requests.length).toBeGreaterThanOrEqual(60);
  expect(server.requests.length).toBeLessThanOrEqual(60 + 2 * 2);
  const file = openAnswerFile(answers);
  expect(file.spent(judgeId(judge)).calls).toBe(60);
  file.close();
});

function judgeId(judge: JudgeSettings): string {
  return openJudge(judge, { answers: () => memoryAnswers() }).id;
}
