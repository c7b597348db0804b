/** @file How pages ask the server, and follow what happens. */
import { useEffect, useState } from 'preact/hooks';
import type { Problem } from '../src/server/api.ts';

/** What a page knows of an answer: what came last, and why nothing (new) came. */
export interface Answer<Value> {
  value: Value | null;
  problem: Problem | null;
}

/** Asks once. Throws a Problem. */
export async function ask<Value>(path: string, signal?: AbortSignal): Promise<Value> {
  const response = await fetch(path, signal === undefined ? {} : { signal });
  if (response.ok) return (await response.json()) as Value; // of our own server
  throw (await response.json()) as Problem;
}

/** Sends an answer; when it resolves, the server has it on the disk, and said what comes next. Throws a Problem. */
export async function tell<Value>(path: string, value: unknown): Promise<Value> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(value) });
  if (!response.ok) throw (await response.json()) as Problem;
  return (await response.json()) as Value; // of our own server
}

/** Asks, and asks again when the path or the version changes; what came before stays until then. */
export function useAnswer<Value>(path: string | null, version: unknown = 0): Answer<Value> {
  const [answer, setAnswer] = useState<Answer<Value> & { path: string | null }>({ value: null, problem: null, path });
  // A new version asks the same again
  useEffect(() => {
    if (path === null) return;
    const leaving = new AbortController();
    ask<Value>(path, leaving.signal).then(
      (value) => setAnswer({ value, problem: null, path }),
      (error: unknown) => {
        if (leaving.signal.aborted) return;
        setAnswer((before) => ({ ...before, problem: problemOf(error), path }));
      },
    );
    return () => leaving.abort();
  }, [path, version]);
  return answer;
}

/** Whether the server is heard. */
export type Connection = 'open' | 'lost' | 'refused';

/**
 * Follows a stream while the page can be seen: a browser opens few connections to one server, and hidden pages would take
 * them all. A page that comes back goes on behind the last id that it saw.
 */
export function follow(
  path: string,
  {
    after,
    heard,
    connection,
  }: {
    after: number | null;
    heard: (event: string, data: unknown) => void;
    connection: (state: Connection) => void;
  },
): () => void {
  let source: EventSource | null = null;
  let lastId = after;
  const open = (): void => {
    source = new EventSource(lastId === null ? path : `${path}?after=${lastId}`);
    for (const name of ['event', 'summary', 'runs', 'reset'])
      source.addEventListener(name, (message: MessageEvent<string>) => {
        if (message.lastEventId !== '') lastId = Number(message.lastEventId);
        heard(name, JSON.parse(message.data));
      });
    source.onopen = () => connection('open');
    // The browser tries again by itself, but for an answer that says no.
    source.onerror = () => connection(source?.readyState === EventSource.CLOSED ? 'refused' : 'lost');
  };
  const close = (): void => {
    source?.close();
    source = null;
  };
  const look = (): void => {
    if (document.hidden) close();
    else if (source === null) open();
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    document.removeEventListener('visibilitychange', look);
    close();
  };
}

/** Whatever went wrong with a request, as a Problem. */
export function problemOf(error: unknown): Problem {
  if (typeof error === 'object' && error !== null && 'code' in error && 'message' in error) {
    return { code: String(error.code), message: String(error.message) };
  }
  return { code: 'UNREACHABLE', message: 'The studio does not answer: is `selm studio` still running?' };
}
