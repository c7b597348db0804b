/**
 * @file Puts a model's files onto the Hub: the repository is created where it is not there, large files go to its storage and
 * small ones into the commit, all in one commit. What the Hub has already under the same hash is not sent again.
 */
import { openAsBlob } from 'node:fs';
import { commitIter, createBranch, createRepo, HubApiError } from '@huggingface/hub';
import { HubError } from '../errors.ts';
import { isStorable } from './cache.ts';
import { accessOf, type HubAccess, unreachable } from './fetch.ts';
import { parseHubName } from './name.ts';
import { type HubSettings, withoutToken } from './settings.ts';

/** A file of a repository: from the disk, or a text in place of what lies there. */
export interface FileToPush {
  /** Path in the repository. */
  path: string;
  content: { kind: 'file'; place: string } | { kind: 'text'; text: string };
}

export interface PushOptions {
  settings: HubSettings;
  /** `owner/name`. */
  repository: string;
  /** Branch; created from the repository's beginning where it is not there. */
  revision: string;
  visibility: 'public' | 'private';
  /** Of the commit. */
  title: string;
  /** Hears what is done, as a sentence. */
  tell: (text: string) => void;
  signal?: AbortSignal | undefined;
}

/** What came of it. */
export interface Pushed {
  /** Page of the repository. */
  url: string;
  commit: string;
}

/** A name to push to, checked before anything else is done. HubError HUB_NAME. */
export function checkRepository(repository: string): string {
  const name = parseHubName(`hub:${repository}`, { part: 'refused' });
  const isWhole = !('problem' in name) && name.repository === repository && repository.includes('/');
  if (isWhole) return repository;
  throw new HubError('HUB_NAME', `Cannot push to "${repository}": give owner/name, as in its address on the Hub`, {
    details: { name: repository },
  });
}

/** Creates the repository and the branch where they are not there, and commits all files at once. HubError. */
export async function pushFiles(files: readonly FileToPush[], options: PushOptions): Promise<Pushed> {
  const { settings, repository, revision, visibility, title, tell, signal } = options;
  const error = (code: string, problem: string): HubError =>
    new HubError(code, withoutToken(`Cannot push to "${repository}": ${problem}`, settings.token), {
      details: { name: repository, url: settings.url },
    });
  if (settings.offline) throw error('HUB_OFFLINE', 'HF_HUB_OFFLINE is set: unset it');
  const { token } = settings;
  if (token === null) {
    throw error(
      'HUB_TOKEN_MISSING',
      `HF_TOKEN is not set: make a token with the right to write at ${settings.url}/settings/tokens and export it`,
    );
  }
  const odd = files.find(({ path }) => !isStorable(path));
  if (odd !== undefined) throw error('HUB_NAME', `a file is called "${odd.path}", which the Hub cannot store`);
  const access = { ...accessOf(settings, signal), accessToken: token };
  const repo = { type: 'model', name: repository } as const;
  try {
    await unlessThere(() => createRepo({ repo, visibility, ...access }));
    if (revision !== 'main') await unlessThere(() => createBranch({ repo, branch: revision, ...access }));
    const commit = await commitAll(files, { repo, branch: revision, title, access, tell });
    return { url: `${settings.url}/${repository}`, commit };
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof HubError) throw cause;
    throw error(...explain(cause, settings));
  }
}

/** A repository or branch that is there stays as it is. */
async function unlessThere(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (!(error instanceof HubApiError) || error.statusCode !== 409) throw error;
  }
}

async function commitAll(
  files: readonly FileToPush[],
  {
    repo,
    branch,
    title,
    access,
    tell,
  }: {
    repo: { type: 'model'; name: string };
    branch: string;
    title: string;
    access: HubAccess & { accessToken: string };
    tell: (text: string) => void;
  },
): Promise<string> {
  const operations = await Promise.all(
    files.map(async ({ path, content }) => ({
      operation: 'addOrUpdate' as const,
      path,
      content: content.kind === 'text' ? new Blob([content.text]) : await openAsBlob(content.place),
    })),
  );
  // The newer transfer (xet) would need a part that runs as WebAssembly; every file can go the older way.
  const steps = commitIter({ repo, branch, title, operations, useXet: false, ...access });
  const told = new Set<string>();
  for (;;) {
    const step = await steps.next();
    if (step.done) return step.value?.commit.oid ?? '';
    const event = step.value;
    if (event.event !== 'fileProgress' || event.state !== 'uploading' || told.has(event.path)) continue;
    told.add(event.path);
    tell(`Sending ${event.path}`);
  }
}

/** Code and sentence of what went wrong. */
function explain(cause: unknown, settings: HubSettings): [code: string, problem: string] {
  if (!(cause instanceof HubApiError)) {
    const fix =
      'look at the network and HF_ENDPOINT, and run the same command again: large files that arrived are kept';
    return unreachable(cause, settings, fix);
  }
  const { statusCode, message } = cause;
  if (statusCode === 401 || statusCode === 403) {
    return [
      'HUB_FORBIDDEN',
      `the Hub refuses it (${statusCode}): HF_TOKEN may not write there: use a token with the right to write, of someone who may write to this owner's repositories`,
    ];
  }
  return ['HUB_FAILED', `the Hub answered ${statusCode}: ${message}: run the same command again`];
}
