/**
 * @file One request to an OpenAI-compatible server, through the `openai` package, and what became of it. Nothing is thrown
 * for what a server does: it is named, with whether it is worth another try and whose fault it is. Retries, budget and
 * cache are asking.ts. The key goes into the request's header and nowhere else.
 */
import OpenAI, { APIConnectionError, APIError } from 'openai';
import type { JudgeMessage } from './prompt.ts';
import { type JudgeAnswer, parseCompletion, parseUsage, type Usage } from './reading.ts';

/** One question as it is sent. */
export interface JudgeRequest {
  model: string;
  messages: JudgeMessage[];
  /** Null leaves it to the server. */
  temperature: number | null;
  maxTokens: number;
  /** Ask for the log-probabilities of the first tokens: `try` does without where the server refuses them. */
  logProbs: 'no' | 'try' | 'require';
}

/**
 * Whose fault a failure is:
 * - server: nobody can be asked now (unreachable, overloaded, rate limit). Never a reason to leave a question out.
 * - access: every request will be refused (key, model, address).
 * - question: this request or its reply is broken; another may go well.
 */
export type Fault = 'server' | 'access' | 'question';

/** What became of a request. */
export type Reply =
  | { kind: 'answer'; body: string; answer: JudgeAnswer; usage: Usage | null }
  | {
      kind: 'failure';
      fault: Fault;
      retry: boolean;
      /** Least wait that the server asks for. */
      retryAfterMs: number | null;
      problem: string;
      /** What came, whole or not; null when no byte of a reply did. */
      body: string | null;
      usage: Usage | null;
    };

export interface JudgeClient {
  /** Sends one request; never throws for what the server does. */
  send(request: JudgeRequest): Promise<Reply>;
  /** `text` without the key, whoever put it there. */
  redact(text: string): string;
}

export interface ClientOptions {
  baseUrl: string;
  /** Null sends no Authorization header. */
  apiKey: string | null;
  timeoutMs: number;
  /** Hears once of each parameter that the server refused and is asked without. */
  warn?: ((text: string) => void) | undefined;
  /** Milliseconds since 1970, for a Retry-After that is a date. @default Date.now */
  clock?: () => number;
}

/** Alternatives of the first token that are asked for, as AlpacaEval does. */
const TOP_LOG_PROBS = 5;
/** A longer reply is no verdict. */
const MAX_BODY_BYTES = 1 << 20;
/** What is kept of an error's text. */
const MAX_ERROR_CHARACTERS = 2000;

/** Characters of the shortest key that is taken for a secret. */
const SHORTEST_SECRET = 8;

/** How a server wants its parameters: found out from its refusals, once a process. */
interface Dialect {
  logProbs: boolean;
  lengthName: 'max_tokens' | 'max_completion_tokens';
}

export function openClient({
  baseUrl,
  apiKey,
  timeoutMs,
  warn = () => {},
  clock = Date.now,
}: ClientOptions): JudgeClient {
  const openai = new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    defaultHeaders: apiKey === null ? { Authorization: null } : {},
    // The package would take these from the environment.
    adminAPIKey: null,
    organization: null,
    project: null,
    logLevel: 'off',
    maxRetries: 0,
    fetch: boundedFetch,
    // A redirect would carry prompts to a server that nobody named.
    fetchOptions: { redirect: 'error' },
  });
  const dialect: Dialect = { logProbs: true, lengthName: 'max_tokens' };
  // A stand-in such as "x" or "EMPTY" is no secret, and blacking it out would spoil the replies.
  const secret = apiKey !== null && apiKey.length >= SHORTEST_SECRET ? apiKey : null;
  const redact = (text: string): string => (secret === null ? text : text.replaceAll(secret, '[key]'));

  async function sendOnce(request: JudgeRequest): Promise<Reply> {
    // Covers the body too: the package's own timeout ends with the headers.
    const signal = AbortSignal.timeout(timeoutMs);
    let response: Response;
    try {
      response = await openai.chat.completions
        // Its own timeout is out of the way, so that it is the signal that tells a slow reply from a lost connection.
        .create(bodyOf(request, dialect), { signal, timeout: 2 * timeoutMs + 1000 })
        .asResponse();
    } catch (error) {
      return failureOf(error, { timedOut: signal.aborted, timeoutMs, clock, redact });
    }
    const { text, cut } = await readBody(response);
    const body = redact(text);
    const usage = parseUsage(body);
    const failed = (problem: string): Reply => ({
      kind: 'failure',
      fault: 'question',
      retry: true,
      retryAfterMs: null,
      problem,
      body,
      usage,
    });
    if (signal.aborted) return failed(`no whole reply within ${timeoutMs} ms`);
    if (cut !== null) return failed(cut);
    const answer = parseCompletion(body);
    return 'problem' in answer ? failed(answer.problem) : { kind: 'answer', body, answer, usage };
  }

  return {
    redact,
    async send(request) {
      for (;;) {
        const before = { ...dialect };
        const reply = await sendOnce(request);
        // Requests side by side may be refused for the same reason; one of them learns, all try again.
        if (
          reply.kind === 'answer' ||
          reply.retry ||
          !learns(dialect, before, { problem: reply.problem, request, warn })
        )
          return reply;
      }
    },
  };
}

function bodyOf(request: JudgeRequest, { logProbs, lengthName }: Dialect) {
  return {
    model: request.model,
    messages: request.messages,
    [lengthName]: request.maxTokens,
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    ...(asksLogProbs(request, logProbs) ? { logprobs: true, top_logprobs: TOP_LOG_PROBS } : {}),
  };
}

function asksLogProbs({ logProbs }: JudgeRequest, supported: boolean): boolean {
  return logProbs === 'require' || (logProbs === 'try' && supported);
}

/** Takes up a parameter that the server refused when it was `sent`; false when the refusal is about something else. */
function learns(
  dialect: Dialect,
  sent: Dialect,
  { problem, request, warn }: { problem: string; request: JudgeRequest; warn: (text: string) => void },
): boolean {
  if (request.logProbs === 'try' && sent.logProbs && /log_?prob/i.test(problem)) {
    if (dialect.logProbs) warn(`The judge's server refuses log-probabilities: verdicts are read from its text`);
    dialect.logProbs = false;
    return true;
  }
  if (sent.lengthName === 'max_tokens' && problem.includes('max_completion_tokens')) {
    dialect.lengthName = 'max_completion_tokens';
    return true;
  }
  return false;
}

/** `fetch` whose refusals are short: the package reads the body of every error to its end, however long it is. */
async function boundedFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  if (response.ok || response.body === null) return response;
  const { text } = await readBody(response);
  return new Response(text, { status: response.status, headers: response.headers });
}

/** The text of a reply as far as it came, and what cut it. */
async function readBody(response: Response): Promise<{ text: string; cut: string | null }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const textSoFar = (): string => Buffer.concat(chunks).toString('utf8');
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      bytes += chunk.length;
      // Leaving the loop cancels the stream.
      if (bytes > MAX_BODY_BYTES) return { text: textSoFar().slice(0, 1000), cut: 'the reply is longer than 1 MiB' };
    }
    return { text: textSoFar(), cut: null };
  } catch (error) {
    return { text: textSoFar(), cut: `the connection was cut after ${bytes} bytes of the reply (${reasonOf(error)})` };
  }
}

function failureOf(
  error: unknown,
  context: { timedOut: boolean; timeoutMs: number; clock: () => number; redact: (text: string) => string },
): Reply {
  const failure = { kind: 'failure', retryAfterMs: null, usage: null } as const;
  if (context.timedOut) {
    const problem = `no reply within ${context.timeoutMs} ms`;
    return { ...failure, fault: 'question', retry: true, problem, body: '' };
  }
  if (error instanceof APIConnectionError) {
    return { ...failure, fault: 'server', retry: true, problem: `no connection (${reasonOf(error)})`, body: null };
  }
  if (!(error instanceof APIError) || error.status === undefined) throw error; // our own mistake
  const status: number = error.status;
  const body = context.redact(error.message).slice(0, MAX_ERROR_CHARACTERS);
  return {
    ...failure,
    ...verdictOnStatus(status),
    retryAfterMs: retryAfterOf(error.headers, context.clock),
    problem: oneLine(`HTTP ${/^\d{3} /.test(body) ? body : `${status} ${body}`}`).slice(0, 300),
    body,
  };
}

/** A server's text as it may stand in a message: no line ends, nothing that moves a cursor. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
}

function verdictOnStatus(status: number): { fault: Fault; retry: boolean } {
  if ([429, 502, 503, 504].includes(status)) return { fault: 'server', retry: true };
  if ([401, 402, 403, 404, 405].includes(status)) return { fault: 'access', retry: false };
  if (status >= 500 || [408, 409, 425].includes(status)) return { fault: 'question', retry: true };
  return { fault: 'question', retry: false };
}

/** Milliseconds to wait from `retry-after-ms`, or from `retry-after` in seconds or as a date; null without one. */
function retryAfterOf(headers: Headers | undefined, clock: () => number): number | null {
  const precise = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (precise >= 0) return precise;
  const text = headers?.get('retry-after') ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - clock());
}

/** The innermost reason, with its code: `ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:1`. */
function reasonOf(error: unknown): string {
  let inner: unknown = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  const code = 'code' in inner && typeof inner.code === 'string' ? inner.code : inner.name;
  return inner.message === '' || inner.message.startsWith(code) ? code : `${code}: ${inner.message}`;
}
