/** @file Hub names in commands: fetches them by the settings of the environment, and reports on stderr. */
import type { FetchOptions } from '../hub/fetch.ts';
import { localModel } from '../hub/local.ts';
import { hubSettings } from '../hub/settings.ts';
import { resolveRanker } from '../recipe/load.ts';
import type { RankerSettings } from '../recipe/schema.ts';

/** How a command fetches: at the commit that a branch has now. */
export function hubAccess(): FetchOptions {
  return { settings: hubSettings(), pins: [], tell: (text) => void process.stderr.write(`${text}\n`) };
}

/** A ranker whose model lies on this machine. HubError. */
export async function localRanker(settings: RankerSettings): Promise<RankerSettings> {
  if (!('model' in settings)) return settings;
  const folder = await localModel(settings.model, hubAccess());
  return resolveRanker(settings, (key, path) => (key === 'model' ? folder : path));
}
