/** @file Sampling by a server, against what a real vLLM was asked and answered in a run of two iterations (scripts/fixtures/vllm_contract.ts). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import type { SelmError } from '../src/errors.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import type { ResponseRecord } from '../src/store/ledger-rows.ts';
import {
  type Exchange,
  type Instead,
  type PlayedRequest,
  type RecordedServer,
  startPlayer,
} from './support/recorded-server.ts';
import { servedRecipe } from './support/served-run.ts';

const recorded = (name: string): Exchange[] =>
  JSON.parse(readFileSync(join(packageRoot, 'test', 'fixtures', 'vllm', name), 'utf8')) as Exchange[];
const recording = recorded('contract.json');
const root = mkdtempSync(join(tmpdir(), 'selm-served-'));
const open: RecordedServer[] = [];
let count = 0;

afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Act = (request: PlayedRequest, headers: IncomingMessage['headers']) => Instead | null;

const folder = (): string => join(root, String(count++));

async function player(place: string, act?: Act, exchanges = recording): Promise<RecordedServer> {
  const server = await startPlayer(exchanges, place, act);
  open.push(server);
  return server;
}

/** Runs the recorded recipe, or one that differs from it by a little, against servers. */
async function run(
  place: string,
  servers: readonly RecordedServer[],
  { sampler = {}, changes = {} }: { sampler?: Record<string, unknown>; changes?: Record<string, unknown> } = {},
): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const url = servers.map((server) => server.url);
  const recipe = servedRecipe(place, { kind: 'vllm', url, concurrency: 2, retries: 0, ...sampler }, changes);
  await runRecipe(recipe, { watch: (event) => void events.push(event) });
  return events;
}

function responses(place: string, iteration: number): ResponseRecord[] {
  using ledger = openLedger(join(place, 'run', 'run.db'), { access: 'read' });
  return ledger.responses(iteration);
}

function pathsOf({ exchanges }: RecordedServer): string[] {
  return exchanges.map(({ method, path }) => `${method} ${path}`);
}

async function failure(work: Promise<unknown>): Promise<SelmError> {
  return work.then(
    () => {
      throw new Error('It did not fail');
    },
    (error: SelmError) => error,
  );
}

const isSampling = ({ request }: PlayedRequest): boolean =>
  typeof request === 'object' && request !== null && 'seed' in request;
const isProbe = ({ request }: PlayedRequest): boolean =>
  typeof request === 'object' && request !== null && 'prompt_logprobs' in request;

it('two iterations: the second model is loaded, the cache emptied, ids and log-probabilities kept, and the gap measured', async () => {
  const place = folder();
  const server = await player(place);
  const events = await run(place, [server]);

  const paths = pathsOf(server);
  expect(paths.filter((path) => path === 'POST /v1/completions')).toHaveLength(2 * (8 + 6));
  const calls = paths.filter((path) => path.startsWith('POST') && path !== 'POST /v1/completions');
  expect(calls).toEqual([
    'POST /update_weight_version',
    'POST /collective_rpc',
    'POST /reset_prefix_cache',
    'POST /update_weight_version',
  ]);
  const sampled = recording.filter(isSampling).map(({ answer }) => JSON.stringify(answer));
  for (const { tokenIds, logProb } of [...responses(place, 1), ...responses(place, 2)]) {
    expect(sampled.some((answer) => answer.includes(`"token_ids":[${tokenIds.join(',')}]`))).toBe(true);
    expect(logProb).toBeLessThan(0);
  }
  // Both sides are fp32: what is left is rounding, 1e-6 nats a token here.
  const gaps = events.flatMap((event) => (event.kind === 'metrics' ? [event.values['sampler/logp_gap'] ?? 1] : []));
  expect(gaps).toHaveLength(2);
  expect(Math.max(...gaps)).toBeLessThan(1e-4);
  // Each sample has a seed of its own.
  const seeds = recording.filter(isSampling).map(({ request }) => (request as { seed: number }).seed);
  expect(new Set(seeds).size).toBe(12);
});

it('a server that breaks in the middle ends the run with one error; nothing is lost, and the same command asks for the rest alone', async () => {
  const place = folder();
  let left = 3;
  const broken = await player(place, (request) =>
    isSampling(request) && left-- <= 0 ? { status: 500, answer: { error: { message: 'out of memory' } } } : null,
  );
  const error = await failure(run(place, [broken], { sampler: { concurrency: 1 } }));
  expect(error.code).toBe('SAMPLER_ANSWER');
  expect(error.message).toContain('500');
  expect(error.message).toContain('out of memory');
  const kept = responses(place, 1);
  expect(kept).toHaveLength(3);

  const whole = await player(place);
  await run(place, [whole]);
  expect(whole.exchanges.filter(isSampling)).toHaveLength(12 - 3);
  expect(responses(place, 1)).toEqual(expect.arrayContaining(kept));
});

it('several servers share the prompts, each probed before', async () => {
  const place = folder();
  const servers = [await player(place), await player(place)];
  await run(place, servers, { changes: { iterations: 1, slices: { count: 2 } } });
  for (const server of servers) expect(server.exchanges.filter(isProbe)).toHaveLength(8);
  const shares = servers.map((server) => server.exchanges.filter(isSampling).length);
  expect(shares.reduce((a, b) => a + b)).toBe(6);
  expect(Math.min(...shares)).toBeGreaterThan(0);
});

it('a server that still serves the model before stops the run', async () => {
  const place = folder();
  const before = new Map(
    recording
      .flatMap((each) => (isProbe(each) ? [[JSON.stringify(each.request), each.answer] as const] : []))
      .slice(0, 8),
  );
  const server = await player(place, (request) => {
    if (!isProbe(request)) return null;
    return { status: 200, answer: before.get(JSON.stringify(request.request)) };
  });
  const error = await failure(run(place, [server]));
  expect(error.code).toBe('SAMPLER_STALE');
  expect(error.message).toContain('it still answers as the model before, to the bit');
  expect(responses(place, 1)).toHaveLength(6);
  expect(responses(place, 2)).toHaveLength(0);
});

it('a server that loads a model in part stops the run: vLLM 0.32 on a CPU keeps the head of before where it is the embedding', async () => {
  const place = folder();
  const server = await player(place, undefined, recorded('tied-head.json'));
  const error = await failure(run(place, [server], { changes: { tied: true } }));
  expect(error.code).toBe('SAMPLER_STALE');
  // Of 18.7 nats, 1.5 are missing.
  expect(error.message).toContain('lack 8.0 % of what ours moved by');
});

it('a server of another model stops the run before anything is sampled', async () => {
  const place = folder();
  const server = await player(place, (request) => {
    const answer = isProbe(request)
      ? recording.find((each) => JSON.stringify(each.request) === JSON.stringify(request.request))?.answer
      : undefined;
    if (answer === undefined) return null;
    const other = JSON.stringify(answer).replaceAll(
      /"logprob":(-[\d.]+)/g,
      (_, value) => `"logprob":${Number(value) - 0.5}`,
    );
    return { status: 200, answer: JSON.parse(other) };
  });
  const error = await failure(run(place, [server]));
  expect(error.code).toBe('SAMPLER_MISMATCH');
  expect(error.message).toContain('differ from ours by 0.500 nats a token, and sampler.tolerance is 0.1');
  expect(server.exchanges.filter(isSampling)).toHaveLength(0);
});

it('a server that does not answer in time, one that is away and one that refuses the key say so without the key', async () => {
  const place = folder();
  const silent = await player(place, (request) => (isSampling(request) ? 'silence' : null));
  const late = await failure(run(place, [silent], { sampler: { timeoutMs: 300 } }));
  expect(late.code).toBe('SAMPLER_UNREACHABLE');
  expect(late.message).toContain('no answer within 300 ms');

  const gone = await player(place);
  await gone.close();
  const away = await failure(run(place, [gone]));
  expect(away.code).toBe('SAMPLER_UNREACHABLE');
  expect(away.message).toContain('ECONNREFUSED');

  process.env.SELM_TEST_SAMPLER_KEY = 'a-secret-of-the-test';
  const shy = await player(place, (_, { authorization }) => ({
    status: 401,
    answer: { error: `You sent ${authorization}` },
  }));
  const refused = await failure(run(place, [shy], { sampler: { apiKeyVariable: 'SELM_TEST_SAMPLER_KEY' } }));
  expect(refused.code).toBe('SAMPLER_REFUSED');
  expect(refused.message).toContain('You sent Bearer [key]');
  expect(JSON.stringify([refused.message, refused.details])).not.toContain('a-secret-of-the-test');
});

it('another OpenAI-compatible server samples, and a program of the recipe gives it each model', async () => {
  const place = folder();
  const loaded = join(place, 'loaded.txt');
  const loads = (): number => readFileSync(loaded, 'utf8').split('\n').length;
  // It speaks as others do: ids in the names of tokens, no log-probabilities of prompts, none of vLLM's calls.
  const server = await player(place, (request) => {
    if (request.path === '/v1/models') return { status: 200, answer: { data: [{ id: 'policy' }] } };
    if (request.path !== '/v1/completions') return { status: 404, answer: { error: 'unknown' } };
    return { status: 200, answer: answerOf((request.request as { seed: number }).seed, loads()) };
  });
  const program = join(root, 'reload.mjs');
  writeFileSync(
    program,
    'import { appendFileSync } from "node:fs"; appendFileSync(process.argv[3], process.argv[2] + "\\n");',
  );
  const sampler = { kind: 'openai', tolerance: 100, reload: [process.execPath, program, '{model}', loaded] };
  await run(place, [server], { sampler });
  expect(readFileSync(loaded, 'utf8').trim().split('\n')).toEqual([
    join(place, 'model'),
    join(place, 'run', 'iteration-1', 'model'),
  ]);
  expect(Array.from(responses(place, 1)[0]?.tokenIds ?? []).slice(0, 1)).toEqual([93]);
});

/** One to three tokens by the seed: the later ones, 261, have the letter that the reward counts. Another model says them less surely. */
function answerOf(seed: number, loads: number): unknown {
  const count = 1 + (seed % 3);
  const tokens = ['token_id:93', 'token_id:261', 'token_id:261'].slice(0, count);
  const logprobs = { tokens, token_logprobs: [-4.7 - loads, -4.6, -4.5].slice(0, count) };
  return { choices: [{ finish_reason: 'length', text: 'Z', logprobs }] };
}
