/**
 * @file Responses that servers sample: each server is made to serve the model, is probed against our own forward pass, and
 * then they share the prompts. A response has a seed of its own, so that a run that goes on asks for what it lacks and nothing else.
 */
import { RecipeError, SamplerError } from '../../errors.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { readModelConfig } from '../../model/read-config.ts';
import { type RandomKey, uniformAt } from '../../random.ts';
import { merge } from '../../ranks/merge.ts';
import type { SamplingServerSettings } from '../../recipe/schema.ts';
import type { GeneratedResponse, GenerationRequest } from '../../sample/generate.ts';
import { interrupted, openServer, type ServerClient } from '../../sample/server/client.ts';
import { completionBody, readCompletion } from '../../sample/server/completion.ts';
import {
  type Probe,
  type ProbedSequence,
  probeProblem,
  probeServer,
  sequencesName,
  unusable,
} from '../../sample/server/probe.ts';
import { type ServedModel, serveModel } from '../../sample/server/serve.ts';
import type { TokenTree } from '../../score/trees.ts';
import { modelSha256 } from '../model-hash.ts';
import { scoreTogether } from './scoring.ts';
import type { IterationContext } from './stage.ts';

/** A server that serves the model. */
interface ReadyServer {
  client: ServerClient;
  /** Name of the model there. */
  model: string;
}

/** Samples all requests at the servers of the recipe; each response comes, alone, when it is finished. Throws SamplerError. */
export async function* sampleServed(
  context: IterationContext,
  settings: SamplingServerSettings,
  requests: readonly GenerationRequest[],
  { modelDirectory, temperature }: { modelDirectory: string; temperature: number },
): AsyncGenerator<readonly GeneratedResponse[]> {
  // Requests under way end with the stage, whether it failed or nobody wants more of it.
  const end = new AbortController();
  const signal = context.signal === undefined ? end.signal : AbortSignal.any([end.signal, context.signal]);
  const apiKey = keyOf(settings, process.env);
  const { timeoutMs, retries } = settings;
  const clients = [settings.url].flat().map((url) => openServer({ url, apiKey, timeoutMs, retries, signal }));
  try {
    const ownOf = ownPass(context, modelDirectory);
    const servers: ReadyServer[] = [];
    for (const client of clients) {
      const { name } = await serve(context, settings, { client, modelDirectory, ownOf });
      servers.push({ client, model: name });
    }
    const waiting = requests.flatMap(({ samples, ...request }) => samples.map((sample) => ({ request, sample })));
    waiting.reverse();
    const worker = async function* (server: ReadyServer): AsyncGenerator<readonly GeneratedResponse[]> {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const request = { ...next.request, ...next.sample, temperature, kind: settings.kind };
        yield [await sampleOne(context, server, request)];
      }
    };
    yield* merge(servers.flatMap((server) => Array.from({ length: settings.concurrency }, () => worker(server))));
  } catch (error) {
    if (context.signal?.aborted) throw interrupted();
    throw error;
  } finally {
    end.abort();
  }
}

/** One response. What is no usable answer ends the run. */
async function sampleOne(
  { recipe, tokenizer }: IterationContext,
  { client, model }: ReadyServer,
  request: Pick<GenerationRequest, 'promptId' | 'promptIds'> & {
    sampleIndex: number;
    key: RandomKey;
    temperature: number;
    kind: SamplingServerSettings['kind'];
  },
): Promise<GeneratedResponse> {
  const { promptId, promptIds, sampleIndex, key, temperature, kind } = request;
  const { topP, topK, maxNewTokens, stop } = recipe.sampling;
  const { stopIds } = tokenizer;
  const settings = { model, promptIds, temperature, topP, topK, maxNewTokens, stopIds, stop, seed: seedOf(key) };
  const answer = await client.post('/v1/completions', completionBody(settings, kind));
  if (!answer.ok) throw unusable(client.url, `it answers ${answer.status} (${answer.said})`);
  const completion = readCompletion(answer.body, settings);
  if ('problem' in completion) throw unusable(client.url, completion.problem);
  return { promptId, sampleIndex, ...completion };
}

/** A seed that every server takes, 31 bits of the sample's own randomness. */
function seedOf(key: RandomKey): number {
  return Math.floor(uniformAt(key, 0) * 2 ** 31);
}

/** Makes one server serve the model, and checks that it does. */
async function serve(
  context: IterationContext,
  settings: SamplingServerSettings,
  { client, modelDirectory, ownOf }: { client: ServerClient; modelDirectory: string; ownOf: OwnPass },
): Promise<ServedModel> {
  const { recipe, ledger, iteration, tokenizer, signal } = context;
  const sha256 = await modelSha256(modelDirectory);
  const isInitial = sha256 === (await modelSha256(recipe.model));
  const served = await serveModel(
    client,
    { directory: modelDirectory, sha256, isInitial },
    { ...settings, run: recipe.name, signal },
  );
  const probed = await probeServer(client, { kind: settings.kind, model: served.name, tokenizer });
  const probe: Probe = {
    sha256,
    sequences: sequencesName(probed),
    own: await ownOf(probed),
    server: probed.map(({ logProb }) => logProb),
  };
  const known = ledger.records('sampler-probes').flatMap(({ record }) => record.probes);
  const before = known.filter((each) => each.url === client.url).at(-1) ?? null;
  const tokens = probed.reduce((sum, { continuation }) => sum + continuation.length, 0);
  const found = probeProblem(probe, before, { tokens, tolerance: settings.tolerance });
  if (found !== null) throw wrongModel(client.url, modelDirectory, found);
  const earlier = ledger.record(iteration, 'sampler-probes')?.probes ?? [];
  ledger.putRecord(iteration, 'sampler-probes', { probes: [...earlier, { url: client.url, ...probe }] });
  await served.confirm();
  return served;
}

/** Our own log-probabilities of what a server was asked about. */
type OwnPass = (probed: readonly ProbedSequence[]) => Promise<number[]>;

/** Several servers are asked about the same texts: the model is loaded and run once for all of them. */
function ownPass(context: IterationContext, modelDirectory: string): OwnPass {
  const vocabulary = readModelConfig(baseDirectory(modelDirectory)).vocabularySize;
  const known = new Map<string, number[]>();
  return async (probed) => {
    const name = sequencesName(probed);
    const isForeign = probed.some(({ continuation }) => continuation.some((id) => id >= vocabulary));
    const own =
      known.get(name) ??
      (isForeign ? probed.map(() => Number.NaN) : await ownLogProbs(context, probed, modelDirectory));
    known.set(name, own);
    return own;
  };
}

async function ownLogProbs(
  context: IterationContext,
  probed: readonly ProbedSequence[],
  modelDirectory: string,
): Promise<number[]> {
  const trees = probed.map(
    ({ promptIds, continuation }, index): TokenTree => ({
      pairId: String(index),
      promptIds: Int32Array.from(promptIds),
      continuations: [Int32Array.from(continuation)],
    }),
  );
  const sums = new Map<string, number>();
  for await (const scores of scoreTogether(context, [trees], { modelDirectory, dtype: 'float32' }))
    for (const [id, [logProb = Number.NaN]] of scores) sums.set(id, logProb);
  return probed.map((_, index) => sums.get(String(index)) ?? Number.NaN);
}

function wrongModel(
  url: string,
  directory: string,
  { kind, problem }: { kind: 'other' | 'stale'; problem: string },
): SamplerError {
  const [code, fix] = {
    other: [
      'SAMPLER_MISMATCH',
      'let it serve this very model, with its tokenizer (for a quantised one raise sampler.tolerance)',
    ],
    stale: ['SAMPLER_STALE', 'start it on that folder again, by a program in sampler.reload'],
  }[kind] as [string, string];
  return new SamplerError(
    code,
    `Cannot sample at ${url}: it does not serve "${directory}": ${problem}: ${fix}, and run the same command again`,
    { details: { url, directory } },
  );
}

/** The key of the servers, from the environment. RecipeError SAMPLER_KEY_MISSING. */
function keyOf(
  { apiKeyVariable }: SamplingServerSettings,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  if (apiKeyVariable === null) return null;
  const key = environment[apiKeyVariable]?.trim() ?? '';
  if (key !== '') return key;
  throw new RecipeError(
    'SAMPLER_KEY_MISSING',
    `Cannot ask the server that samples: the environment variable ${apiKeyVariable}, which sampler.apiKeyVariable names, is not set: export it, or set apiKeyVariable to null for a server that needs no key`,
    { details: { variable: apiKeyVariable } },
  );
}
