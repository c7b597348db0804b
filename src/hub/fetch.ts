/**
 * @file Fetches models and data sets from the Hugging Face Hub into its cache, at one commit. A branch is resolved to a
 * commit once. Given the commits of an earlier run, it returns that run's files again.
 */
import { datasetInfo, downloadFile, HubApiError, listFiles, modelInfo } from '@huggingface/hub';
import { HubError, SelmError } from '../errors.ts';
import { formatBytes } from '../files/fs.ts';
import { type HubFile, isCommit, isStorable, RepositoryCache, type RepositoryType } from './cache.ts';
import { dataFiles, hasWeights, missingParts, modelFiles, splits } from './choose.ts';
import { type HubName, parseHubName } from './name.ts';
import { type HubSettings, withoutToken } from './settings.ts';

/** The commit that a name stood for. Kept in a run's record. */
export interface HubPin {
  type: RepositoryType;
  repository: string;
  revision: string;
  commit: string;
}

/** Options of everything that fetches. */
export interface FetchOptions {
  settings: HubSettings;
  /** Commits to take in place of asking; new ones are added. */
  pins: HubPin[];
  /** Hears what is fetched, as a sentence. */
  tell: (text: string) => void;
  signal?: AbortSignal | undefined;
}

/** The folder of a model, in Hugging Face layout. HubError, or FileError when the disk is full. */
export async function fetchModel(text: string, options: FetchOptions): Promise<string> {
  const repository = await openRepository('model', parsed(text, 'refused'), options);
  const wanted = modelFiles([...repository.files.keys()]);
  if (!hasWeights(wanted)) {
    throw repository.error(
      'HUB_INCOMPLETE',
      'it has no model.safetensors: choose a repository with weights in safetensors',
    );
  }
  repository.requireAllParts(wanted);
  await repository.fetch(wanted);
  return repository.cache.snapshotPath(repository.commit);
}

/** The files of a data set that a name means, in order. HubError. */
export async function fetchData(text: string, options: FetchOptions): Promise<string[]> {
  const name = parsed(text, 'allowed');
  const repository = await openRepository('dataset', name, options);
  const paths = [...repository.files.keys()];
  const part = name.part ?? 'train';
  const wanted = dataFiles(paths, part);
  if (wanted.length === 0) {
    const known = splits(paths).map((split) => `hub:${name.repository}:${split}`);
    throw repository.error(
      'HUB_NO_SPLIT',
      `it has no file or split "${part}": ${known.length === 0 ? 'it has no JSONL and no Parquet file' : `name one of ${known.join(', ')}`}`,
    );
  }
  // A path or a pattern means what it says; a split means all of it.
  if (!wanted.includes(part) && !part.includes('*')) repository.requireAllParts(wanted);
  return repository.fetch(wanted);
}

function parsed(text: string, part: 'allowed' | 'refused'): HubName {
  const name = parseHubName(text, { part });
  if ('problem' in name)
    throw new HubError('HUB_NAME', `Cannot use "${text}": it ${name.problem}`, { details: { name: text } });
  return name;
}

/** A repository at a commit. */
interface Repository {
  commit: string;
  cache: RepositoryCache;
  /** By path. Offline only what the cache has, without description. */
  files: ReadonlyMap<string, HubFile | null>;
  /** Throws where the files are numbered parts and one of them is not there. */
  requireAllParts(paths: readonly string[]): void;
  /** Makes sure that files are in the cache; their paths there, in the same order. */
  fetch(paths: readonly string[]): Promise<string[]>;
  error(code: string, problem: string): HubError;
}

async function openRepository(type: RepositoryType, name: HubName, options: FetchOptions): Promise<Repository> {
  const { settings, pins, tell, signal } = options;
  const cache = new RepositoryCache(settings.cachePath, type, name.repository);
  const error = (code: string, problem: string): HubError =>
    new HubError(code, withoutToken(`Cannot use "${name.text}": ${problem}`, settings.token), {
      details: { name: name.text, url: settings.url },
    });
  const ask = async <T>(question: (access: HubAccess) => Promise<T>): Promise<T> => {
    try {
      return await question(accessOf(settings, signal));
    } catch (cause) {
      signal?.throwIfAborted();
      throw cause instanceof SelmError ? cause : error(...explain(cause, settings));
    }
  };
  const commit = await commitOf();
  const files = settings.offline
    ? new Map(cache.files(commit).map((path) => [path, null] as const))
    : await ask((access) => listAt(type, name.repository, commit, access));
  if (settings.offline && files.size === 0) {
    throw error(
      'HUB_OFFLINE',
      `HF_HUB_OFFLINE is set and commit ${commit} is not in ${settings.cachePath}: unset it once to fetch it`,
    );
  }

  async function commitOf(): Promise<string> {
    const same = (pin: HubPin): boolean =>
      pin.type === type && pin.repository === name.repository && pin.revision === name.revision;
    const pinned = pins.find(same)?.commit ?? (isCommit(name.revision) ? name.revision : null);
    const found = pinned ?? (settings.offline ? cachedCommit() : await askCommit());
    if (!pins.some(same)) pins.push({ type, repository: name.repository, revision: name.revision, commit: found });
    return found;
  }

  function cachedCommit(): string {
    const commit = cache.commitOf(name.revision);
    if (commit !== null) return commit;
    throw error(
      'HUB_OFFLINE',
      `HF_HUB_OFFLINE is set and its ${name.revision} is not in ${settings.cachePath}: unset it once to fetch it`,
    );
  }

  async function askCommit(): Promise<string> {
    const info = type === 'model' ? modelInfo<'sha'> : datasetInfo<'sha'>;
    const { sha } = await ask((access) =>
      info({ name: name.repository, revision: name.revision, additionalFields: ['sha'], ...access }),
    );
    if (!isCommit(sha)) throw error('HUB_ANSWER', `the Hub names no commit for its ${name.revision}`);
    cache.rememberCommit(name.revision, sha);
    return sha;
  }

  async function fetchOne(path: string): Promise<string> {
    const known = cache.find(commit, path);
    if (known !== null) return known;
    const file = files.get(path);
    if (file === undefined || file === null) throw error('HUB_OFFLINE', `"${path}" is not in ${settings.cachePath}`);
    const content = async (): Promise<AsyncIterable<Uint8Array>> => {
      const repo = { type, name: name.repository };
      const blob = await ask((access) => downloadFile({ repo, path, revision: commit, ...access }));
      if (blob === null) throw error('HUB_ANSWER', `the Hub lists "${path}" and does not have it`);
      return blob.stream();
    };
    tell(`Fetching ${name.repository}/${path} (${formatBytes(file.bytes)})`);
    return ask(() => cache.store(commit, file, content));
  }

  return {
    commit,
    cache,
    files,
    error,
    requireAllParts(paths) {
      const missing = missingParts(paths);
      if (missing.length > 0) {
        const where = settings.offline ? `HF_HUB_OFFLINE is set and the cache has` : 'it has';
        throw error('HUB_INCOMPLETE', `${where} no ${missing.join(', ')}`);
      }
    },
    async fetch(paths) {
      const places: string[] = [];
      for (const path of paths) {
        signal?.throwIfAborted();
        places.push(await fetchOne(path));
      }
      return places;
    },
  };
}

/** What every call of the Hub's library takes. */
export interface HubAccess {
  hubUrl: string;
  fetch: typeof fetch;
  accessToken?: string;
}

/** How calls reach the Hub; they end when the signal is aborted. */
export function accessOf({ url, token }: HubSettings, signal: AbortSignal | undefined): HubAccess {
  const abortable: typeof fetch = (input, init) =>
    fetch(input, { ...init, ...(signal === undefined ? {} : { signal }) });
  return { hubUrl: url, fetch: abortable, ...(token === null ? {} : { accessToken: token }) };
}

async function listAt(
  type: RepositoryType,
  repository: string,
  commit: string,
  access: HubAccess,
): Promise<Map<string, HubFile>> {
  const files = new Map<string, HubFile>();
  for await (const entry of listFiles({
    repo: { type, name: repository },
    recursive: true,
    revision: commit,
    ...access,
  })) {
    if (entry.type !== 'file' || typeof entry.path !== 'string') continue;
    const hash = entry.lfs
      ? ({ kind: 'sha256', hex: entry.lfs.oid } as const)
      : ({ kind: 'git', hex: entry.oid ?? '' } as const);
    // The hash becomes a file name, the path a place: both come from outside.
    const digits = hash.kind === 'sha256' ? 64 : 40;
    if (!isStorable(entry.path) || hash.hex.length !== digits || !/^[0-9a-f]+$/.test(hash.hex)) continue;
    files.set(entry.path, { path: entry.path, bytes: entry.size, hash });
  }
  return files;
}

/** Code and sentence of what went wrong between here and the Hub. */
function explain(cause: unknown, { url, token, offline }: HubSettings): [code: string, problem: string] {
  if (cause instanceof HubApiError) {
    const { statusCode } = cause;
    if (statusCode === 404)
      return [
        'HUB_NOT_FOUND',
        'the Hub has no such repository or revision, or the token may not see it: check the name',
      ];
    if (statusCode === 401 || statusCode === 403) {
      const how =
        token === null
          ? 'set HF_TOKEN to a token that may read it'
          : 'HF_TOKEN may not read it: accept its terms on its page, or use another token';
      return ['HUB_FORBIDDEN', `the Hub refuses it (${statusCode}): it is private, gated or not there: ${how}`];
    }
    return ['HUB_FAILED', `the Hub answered ${statusCode}: ${cause.message}`];
  }
  return unreachable(cause, { url, offline });
}

/** A Hub that gave no answer. */
export function unreachable(
  cause: unknown,
  { url, offline }: Pick<HubSettings, 'url' | 'offline'>,
  fix = 'look at the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use what the cache has',
): [code: string, problem: string] {
  const text =
    cause instanceof Error
      ? [cause.message, cause.cause instanceof Error ? cause.cause.message : ''].filter(Boolean).join(': ')
      : String(cause);
  return ['HUB_UNREACHABLE', `the Hub at ${url} cannot be reached (${text})${offline ? '' : `: ${fix}`}`];
}
