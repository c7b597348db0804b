/**
 * @file Requests to a server that samples: with its key, a limit of time, and another try where the server may recover.
 * What it says in a refusal comes back as one line without the key; the key goes into the header and nowhere else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { InterruptedError, SamplerError } from '../../errors.ts';

/** A server, and how patient its client is. */
export interface ServerOptions {
  /** With or without `/v1` at its end. */
  url: string;
  /** Null sends no Authorization header. */
  apiKey: string | null;
  timeoutMs: number;
  /** Times a failed request is sent again. */
  retries: number;
  /** Aborting it ends every request with an InterruptedError. */
  signal?: AbortSignal | undefined;
  /** First wait before another try, doubled each time. @default 1000 */
  backoffMs?: number;
}

/** What a server answered. */
export interface ServerAnswer {
  status: number;
  ok: boolean;
  /** The JSON of the body; null where it is none. */
  body: unknown;
  /** The body as it may stand in a message. */
  said: string;
}

export interface ServerClient {
  /** Without a path; has no key in it. */
  readonly url: string;
  get(path: string): Promise<ServerAnswer>;
  /** One request, and others after it where the server is overloaded, broken or away. */
  post(path: string, body: unknown): Promise<ServerAnswer>;
  /** One request only: for what must not be done twice, or says by its failure what is wrong. */
  postOnce(path: string, body: unknown): Promise<ServerAnswer>;
}

const MAX_BACKOFF_MS = 30_000;
/** What a server says in its refusal is shown up to here. */
const SHOWN_CHARACTERS = 300;
/** Characters of the shortest key that is taken for a secret. */
const SHORTEST_SECRET = 8;
/** Codes for which the same request may go well later. */
const PASSING = new Set([408, 409, 425, 429, 500, 502, 503, 504]);

/**
 * A client of one server. Its calls throw SamplerError SAMPLER_UNREACHABLE where no answer comes, SAMPLER_REFUSED where the
 * server wants another key; other refusals are answers.
 */
export function openServer(options: ServerOptions): ServerClient {
  const { apiKey, timeoutMs, retries, signal, backoffMs = 1000 } = options;
  const url = options.url.replace(/\/+$/, '').replace(/\/v1$/, '');
  const redact = (text: string): string =>
    apiKey !== null && apiKey.length >= SHORTEST_SECRET ? text.replaceAll(apiKey, '[key]') : text;

  async function sendOnce(method: 'GET' | 'POST', path: string, body: unknown): Promise<ServerAnswer | string> {
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        // A redirect would carry prompts to a server that nobody named.
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = redact(await response.text());
      return {
        status: response.status,
        ok: response.ok,
        body: parsed(text),
        said: oneLine(text).slice(0, SHOWN_CHARACTERS),
      };
    } catch (error) {
      if (signal?.aborted) throw interrupted();
      return timeout.aborted ? `no answer within ${timeoutMs} ms` : `no connection (${redact(reasonOf(error))})`;
    }
  }

  async function send(
    method: 'GET' | 'POST',
    path: string,
    { body, tries }: { body?: unknown; tries: number },
  ): Promise<ServerAnswer> {
    for (let attempt = 1; ; attempt++) {
      const answer = await sendOnce(method, path, body);
      const isAnswer = typeof answer !== 'string';
      if (isAnswer && (answer.status === 401 || answer.status === 403)) {
        throw new SamplerError(
          'SAMPLER_REFUSED',
          `Cannot sample at ${url}: it answers ${answer.status} (${answer.said}): put its key into the variable that sampler.apiKeyVariable names, and run the same command again`,
          { details: { url, status: answer.status } },
        );
      }
      if (isAnswer && !PASSING.has(answer.status)) return answer;
      if (attempt >= tries) {
        if (isAnswer) return answer;
        const count = attempt === 1 ? '' : `, after ${attempt} requests`;
        throw new SamplerError(
          'SAMPLER_UNREACHABLE',
          `Cannot sample at ${url}: ${answer}${count}: everything sampled is kept; start the server or correct sampler.url, and run the same command again`,
          { details: { url } },
        );
      }
      await pause(Math.min(MAX_BACKOFF_MS, backoffMs * 2 ** (attempt - 1)), signal);
    }
  }

  return {
    url,
    get: (path) => send('GET', path, { tries: 1 + retries }),
    post: (path, body) => send('POST', path, { body, tries: 1 + retries }),
    postOnce: (path, body) => send('POST', path, { body, tries: 1 }),
  };
}

/** Waits, unless the run is to stop: InterruptedError. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch {
    throw interrupted();
  }
}

/** What a server's sampling ends with when the user asks it to stop. */
export function interrupted(): InterruptedError {
  return new InterruptedError('INTERRUPTED', 'Sampling was interrupted: finished responses are kept');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A server's text as it may stand in a message: no line ends, nothing that moves a cursor. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
}

/** The innermost reason: `connect ECONNREFUSED 127.0.0.1:1`. */
function reasonOf(error: unknown): string {
  let inner: unknown = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  return inner instanceof Error ? oneLine(inner.message || inner.name) : String(inner);
}
