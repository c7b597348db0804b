/**
 * @file Makes a server serve a model folder. vLLM reads a whole model's weights by its reload call, from a disk that
 * both see, and an adapter under a name of its own. For any other server the user names a program. The caller then
 * checks what is served (probe.ts), because servers have said yes and served other weights.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SamplerError } from '../../errors.ts';
import { isAdapterDirectory } from '../../model/adapter/adapter.ts';
import { pause, type ServerAnswer, type ServerClient } from './client.ts';
import { runReload } from './reload.ts';

/** A model as a server gets it. */
export interface ModelToServe {
  directory: string;
  /** Of its weights; names it at the server. */
  sha256: string;
  /** Whether it is what the run started from, and so what the server was started with. */
  isInitial: boolean;
}

/** How a server is told. */
export interface ServingOptions {
  kind: 'vllm' | 'openai';
  /** Name of the model at the server; null: the only one that it names. */
  model: string | null;
  /** Program and arguments, with {model} and {url} in them. */
  reload: readonly string[] | null;
  timeoutMs: number;
  /** Name of the run: adapters of others are left alone. */
  run: string;
  signal: AbortSignal | undefined;
}

/** A model that a server says it serves. */
export interface ServedModel {
  /** What requests call it. */
  name: string;
  /** Tells the server the version that it serves, once the version was checked; it is not loaded again then. */
  confirm(): Promise<void>;
}

const versionSchema = z.object({ weight_version: z.string() });
const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })) });
const resetSchema = z.object({ success: z.boolean() });
/** The version of a vLLM whose weights nobody changed since it was started. */
const UNTOUCHED = 'default';
const RESET_TRIES = 20;
const RESET_WAIT_MS = 250;

/** Loads the model at the server unless it is there. Throws SamplerError SAMPLER_RELOAD, or as the client does. */
export async function serveModel(
  server: ServerClient,
  model: ModelToServe,
  options: ServingOptions,
): Promise<ServedModel> {
  const isAdapter = isAdapterDirectory(model.directory);
  if (options.reload !== null) {
    await runReload(options.reload, { ...options, url: server.url, model: model.directory });
    await untilUp(server, options);
    return { name: await nameAt(server, options), confirm: async () => {} };
  }
  if (options.kind === 'openai') return { name: await nameAt(server, options), confirm: async () => {} };
  return isAdapter ? serveAdapter(server, model, options) : serveWeights(server, model, options);
}

/** vLLM, the whole model: nothing where its version says that it is there. */
async function serveWeights(
  server: ServerClient,
  { directory, sha256, isInitial }: ModelToServe,
  options: ServingOptions,
): Promise<ServedModel> {
  const name = await nameAt(server, options);
  const known = versionSchema.safeParse((await server.get('/weight_info')).body);
  const version = known.success ? known.data.weight_version : null;
  const confirm = async (): Promise<void> => {
    // A server that is too old to state a version loads the model each time.
    if (version !== null) await server.postOnce('/update_weight_version', { new_version: sha256 });
  };
  if (version === sha256) return { name, confirm: async () => {} };
  if (version === UNTOUCHED && isInitial) return { name, confirm };
  const call = { method: 'reload_weights', kwargs: { weights_path: directory } };
  const reloaded = await server.postOnce('/collective_rpc', call);
  if (!reloaded.ok) {
    throw reloadError(server, directory, {
      answer: reloaded,
      missing: 'start vLLM with VLLM_SERVER_DEV_MODE=1, on a network that you trust, or set sampler.reload',
    });
  }
  await emptyPrefixCache(server, directory, options.signal);
  return { name, confirm };
}

/** vLLM, an adapter: under a name of its own content, so that an older one cannot answer for it. */
async function serveAdapter(
  server: ServerClient,
  { directory, sha256 }: ModelToServe,
  { run }: ServingOptions,
): Promise<ServedModel> {
  // A run's folders may have the same name on several machines; its adapters' hashes do not.
  const prefix = `selm-${run}-`;
  const name = `${prefix}${createHash('sha256').update(sha256).digest('hex').slice(0, 12)}`;
  const known = await modelsAt(server);
  if (!known.includes(name)) {
    const answer = await server.postOnce('/v1/load_lora_adapter', { lora_name: name, lora_path: directory });
    if (!answer.ok) {
      throw reloadError(server, directory, {
        answer,
        missing: 'start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True',
      });
    }
    for (const older of known.filter((each) => each.startsWith(prefix)))
      await server.postOnce('/v1/unload_lora_adapter', { lora_name: older });
  }
  return { name, confirm: async () => {} };
}

/** Empties the cache of keys and values of the weights before; it waits for requests that end. */
async function emptyPrefixCache(
  server: ServerClient,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const answer = await server.postOnce('/reset_prefix_cache', undefined);
    const reset = resetSchema.safeParse(answer.body);
    // Older servers answer with nothing.
    if (answer.ok && (!reset.success || reset.data.success)) return;
    if (!answer.ok || attempt === RESET_TRIES) {
      const missing = 'its prefix cache has to be emptied by /reset_prefix_cache: let nobody else use the server';
      throw reloadError(server, directory, { answer, missing });
    }
    await pause(RESET_WAIT_MS, signal);
  }
}

/** Waits for a server that was started again. */
async function untilUp(server: ServerClient, { timeoutMs, signal }: ServingOptions): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      if ((await server.get('/v1/models')).ok) return;
    } catch (error) {
      const isAway = error instanceof SamplerError && error.code === 'SAMPLER_UNREACHABLE';
      if (!isAway || performance.now() > untilMs) throw error;
    }
    if (performance.now() > untilMs) return;
    await pause(1000, signal);
  }
}

/** The name of the setting, or the only one of the server; adapters of runs are none. */
async function nameAt(server: ServerClient, { model }: ServingOptions): Promise<string> {
  const known = (await modelsAt(server)).filter((name) => !name.startsWith('selm-'));
  if (model !== null) {
    if (known.length === 0 || known.includes(model)) return model;
    throw new SamplerError(
      'SAMPLER_MODEL',
      `Cannot sample at ${server.url}: sampler.model is "${model}", and the server has ${known.join(', ')}: give one of them`,
      { details: { url: server.url, model, known } },
    );
  }
  const [only] = known;
  if (only !== undefined && known.length === 1) return only;
  const has = known.length === 0 ? 'names no model' : `has ${known.join(', ')}`;
  throw new SamplerError(
    'SAMPLER_MODEL',
    `Cannot sample at ${server.url}: sampler.model is not set, and the server ${has}: set it`,
    { details: { url: server.url, known } },
  );
}

async function modelsAt(server: ServerClient): Promise<string[]> {
  const models = modelsSchema.safeParse((await server.get('/v1/models')).body);
  return models.success ? models.data.data.map(({ id }) => id) : [];
}

function reloadError(
  server: ServerClient,
  directory: string,
  { answer, missing }: { answer: ServerAnswer; missing: string },
): SamplerError {
  return new SamplerError(
    'SAMPLER_RELOAD',
    `Cannot load "${directory}" at ${server.url}: it answers ${answer.status} (${answer.said}): the server has to see that folder under that path; ${missing}; then run the same command again`,
    { details: { url: server.url, directory, status: answer.status } },
  );
}
