/** @file Turns places as people write them, a path or a name on the Hub, into paths on this machine. */
import { type FetchOptions, fetchData, fetchModel } from './fetch.ts';
import { isHubName } from './name.ts';

/** A model folder: the path as it is, or what the Hub has under the name. HubError. */
export async function localModel(place: string, options: FetchOptions): Promise<string> {
  return isHubName(place) ? fetchModel(place, options) : place;
}

/** Data files, in the order of the places; one name on the Hub may be several files. HubError. */
export async function localFiles(places: readonly string[], options: FetchOptions): Promise<string[]> {
  const files: string[] = [];
  for (const place of places) files.push(...(isHubName(place) ? await fetchData(place, options) : [place]));
  return files;
}
