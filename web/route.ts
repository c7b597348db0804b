/** @file Which page is shown: the part of the address behind `#`, so that the server has one page and no address to guess. */
import { signal } from '@preact/signals';

export const TABS = ['label', 'annotators', 'afterwards', 'curves', 'pairs', 'samples', 'log', 'settings'] as const;
export type Tab = (typeof TABS)[number];

export const ARENA_TABS = ['vote', 'ratings'] as const;
export type ArenaTab = (typeof ARENA_TABS)[number];

/** A page. `item` is a pair or a prompt; `query` holds filters and the runs beside. */
export type Route =
  | { page: 'runs' }
  | { page: 'arena'; id: string; tab: ArenaTab }
  | { page: 'run'; id: string; tab: Tab; item: string | null; query: URLSearchParams };

/** The page that an address means; an unknown one is the list of runs. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?');
  const [, page, id, said, item] = path.split('/').map(decoded);
  if (page === 'arena' && id !== undefined)
    return { page, id, tab: ARENA_TABS.find((each) => each === said) ?? 'vote' };
  const tab = said ?? 'curves';
  const known = TABS.find((each) => each === tab);
  if (page !== 'run' || id === undefined || known === undefined) return { page: 'runs' };
  return { page: 'run', id, tab: known, item: item ?? null, query: new URLSearchParams(query) };
}

/** The address of a page. */
export function routeTo(
  id: string,
  { tab = 'curves', item = null, query = {} }: { tab?: Tab; item?: string | null; query?: Record<string, string> } = {},
): string {
  const filled = Object.entries(query).filter(([, value]) => value !== '');
  const search = new URLSearchParams(filled).toString();
  const path = ['', 'run', id, tab, ...(item === null ? [] : [item])].map(encodeURIComponent).join('/');
  return `#${path}${search === '' ? '' : `?${search}`}`;
}

/** The address of an arena. */
export function arenaRoute(id: string, tab: ArenaTab): string {
  return `#/arena/${encodeURIComponent(id)}/${tab}`;
}

/** Takes the place of the address, so that each letter of a search is no step back. */
export function replaceRoute(hash: string): void {
  history.replaceState(null, '', hash);
  route.value = parseRoute(hash);
}

/** The page that is shown. */
export const route = signal<Route>({ page: 'runs' });

/** Follows the address. */
export function followAddress(): void {
  const follow = (): void => {
    route.value = parseRoute(location.hash);
  };
  addEventListener('hashchange', follow);
  follow();
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
