/**
 * @file How an adapter names its base, and where that base lies. A base from the Hub is named as on the Hub, at its commit, so
 * that PEFT finds it on any machine. A folder in one project with the adapter is named from where the command was started, as
 * PEFT reads it; any other folder in full.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { isCommit, RepositoryCache, snapshotName } from '../../hub/cache.ts';
import { parseHubName } from '../../hub/name.ts';
import { hubSettings } from '../../hub/settings.ts';

/** A base in the words of adapter_config.json. */
export interface BaseName {
  /** `base_model_name_or_path`: a folder, or a name on the Hub. */
  base: string;
  /** Branch, tag or commit on the Hub; null where none is given. */
  revision: string | null;
}

/** What an adapter in `adapterDirectory` calls its base, the model in `directory`. */
export function baseNameOf(directory: string, adapterDirectory: string): BaseName {
  const cached = snapshotName(directory);
  if (cached !== null) return { base: cached.repository, revision: cached.commit };
  const fromHere = belowWorkingFolder(directory);
  const isOneProject = fromHere !== null && belowWorkingFolder(adapterDirectory) !== null;
  return { base: isOneProject ? fromHere : resolve(directory), revision: null };
}

/** The path from the working folder to a folder below it; null for any other. */
function belowWorkingFolder(directory: string): string | null {
  const path = relative(process.cwd(), resolve(directory));
  return path === '' || isAbsolute(path) || /^\.\.(\/|$)/.test(path) ? null : path;
}

/**
 * The folder that an adapter's base means, or null: from where the command is started, as in PEFT; else from a folder above
 * the adapter (a project that was moved, or a command started elsewhere); else a model that the Hub's cache has.
 */
export function findBase({ base, revision }: BaseName, adapterDirectory: string): string | null {
  const isBelowProject = /^(?!\.{1,2}(\/|$))[^/]/.test(normalize(base));
  const above = isBelowProject ? ancestors(resolve(adapterDirectory)) : [];
  const folders = [resolve(base), ...above.map((folder) => resolve(folder, base))];
  return folders.find(isModelFolder) ?? cachedModel({ base, revision });
}

function ancestors(directory: string): string[] {
  const above = dirname(directory);
  return above === directory ? [] : [above, ...ancestors(above)];
}

function isModelFolder(directory: string): boolean {
  return existsSync(join(directory, 'config.json'));
}

/** Whether a base can only be meant as a name on the Hub: one slash, no path that starts at a known place. */
export function looksLikeHubName(base: string): boolean {
  return base.includes('/') && !('problem' in parseHubName(`hub:${base}`, { part: 'refused' }));
}

function cachedModel({ base, revision }: BaseName): string | null {
  const name = parseHubName(`hub:${base}${revision === null ? '' : `@${revision}`}`, { part: 'refused' });
  if ('problem' in name) return null;
  const cache = new RepositoryCache(hubSettings().cachePath, 'model', name.repository);
  const commit = isCommit(name.revision) ? name.revision : cache.commitOf(name.revision);
  if (commit === null) return null;
  const snapshot = cache.snapshotPath(commit);
  return isModelFolder(snapshot) ? snapshot : null;
}
