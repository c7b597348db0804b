/**
 * @file What a real server was asked and answered, kept and played again: a proxy that records, and a server on loopback that
 * answers from a recording. Paths of the run are written `{root}`, so that a recording fits every machine.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request and its answer. */
export interface Exchange {
  method: string;
  path: string;
  request: unknown;
  status: number;
  answer: unknown;
}

/** A request as the player sees it. */
export type PlayedRequest = Pick<Exchange, 'method' | 'path' | 'request'>;

/** What a test does in place of the recorded answer. */
export type Instead = { status: number; answer: unknown } | 'silence';

export interface RecordedServer {
  url: string;
  exchanges: Exchange[];
  close(): Promise<void>;
}

/** A proxy in front of a server that keeps what passes. */
export function startRecorder(upstream: string, root: string): Promise<RecordedServer> {
  const exchanges: Exchange[] = [];
  return listen(exchanges, async (method, path, text, response) => {
    const init = text === '' ? { method } : { method, body: text, headers: { 'content-type': 'application/json' } };
    const reply = await fetch(`${upstream}${path}`, init);
    const body = await reply.text();
    const kept = (value: string): unknown => (value === '' ? null : JSON.parse(value.replaceAll(root, '{root}')));
    exchanges.push({ method, path, request: kept(text), status: reply.status, answer: kept(body) });
    send(response, reply.status, body);
  });
}

/** A server that answers as recorded: the same request again gets the next answer to it, and the last one from then on. */
export function startPlayer(
  recording: readonly Exchange[],
  root: string,
  instead: (request: PlayedRequest, headers: IncomingMessage['headers']) => Instead | null = () => null,
): Promise<RecordedServer> {
  const exchanges: Exchange[] = [];
  const nameOf = ({ method, path, request }: PlayedRequest): string => `${method} ${path} ${JSON.stringify(request)}`;
  const answers = new Map<string, Exchange[]>();
  for (const each of recording) answers.set(nameOf(each), [...(answers.get(nameOf(each)) ?? []), each]);
  return listen(exchanges, async (method, path, text, response, headers) => {
    const request: unknown = text === '' ? null : JSON.parse(text.replaceAll(root, '{root}'));
    const asked = { method, path, request };
    const other = instead(asked, headers);
    if (other === 'silence') return;
    const left = answers.get(nameOf(asked)) ?? [];
    const recorded = left.length > 1 ? left.shift() : left[0];
    const { status, answer } = other ??
      recorded ?? { status: 418, answer: { error: `Not recorded: ${nameOf(asked)}` } };
    exchanges.push({ ...asked, status, answer });
    send(response, status, JSON.stringify(answer).replaceAll('{root}', root));
  });
}

async function listen(
  exchanges: Exchange[],
  act: (
    method: string,
    path: string,
    text: string,
    response: ServerResponse,
    headers: IncomingMessage['headers'],
  ) => Promise<void>,
): Promise<RecordedServer> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      act(incoming.method ?? 'GET', incoming.url ?? '/', text, outgoing, incoming.headers).catch((error: unknown) =>
        send(outgoing, 599, JSON.stringify({ error: String(error) })),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // a TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    close: () => new Promise((done) => void server.close(() => done()).closeAllConnections()),
  };
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}
