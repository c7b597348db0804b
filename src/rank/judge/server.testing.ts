/** @file A judge's server on loopback for tests: real HTTP, and as broken as a test wants it. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the server saw it. */
export interface SeenRequest {
  headers: IncomingHttpHeaders;
  body: { model: string; messages: { role: string; content: string }[]; logprobs?: boolean; [field: string]: unknown };
  /** How often the same messages came, this time included. */
  time: number;
  /** How many requests came before. */
  index: number;
}

/** What the server does with a request. */
export type Act =
  | { kind: 'reply'; status?: number; headers?: Record<string, string>; body: string; delayMs?: number }
  /** Sends the head and half of the body, then closes the connection. */
  | { kind: 'cut'; body: string }
  /** Sends the head and half of the body, and then nothing more. */
  | { kind: 'stall'; body: string }
  /** Closes the connection without a word. */
  | { kind: 'hang up' };

export interface JudgeServer {
  url: string;
  requests: SeenRequest[];
  /** Most requests that were open at once. */
  readonly mostOpen: number;
  close(): Promise<void>;
}

/** Starts a server whose every request is answered by `act`. */
export async function startServer(act: (request: SeenRequest) => Act): Promise<JudgeServer> {
  const requests: SeenRequest[] = [];
  const times = new Map<string, number>();
  let open = 0;
  let mostOpen = 0;
  const server = createServer((incoming, outgoing) => {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    outgoing.on('close', () => {
      open -= 1;
    });
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as SeenRequest['body'];
      const name = JSON.stringify(body.messages);
      const time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      const request = { headers: incoming.headers, body, time, index: requests.length };
      requests.push(request);
      const what = act(request);
      switch (what.kind) {
        case 'hang up':
          incoming.socket.destroy();
          break;
        case 'cut':
          outgoing.writeHead(200, { 'content-length': what.body.length });
          outgoing.write(what.body.slice(0, what.body.length / 2), () => incoming.socket.destroy());
          break;
        case 'stall':
          outgoing.writeHead(200, { 'content-length': what.body.length });
          outgoing.write(what.body.slice(0, what.body.length / 2));
          break;
        case 'reply':
          setTimeout(() => {
            outgoing.writeHead(what.status ?? 200, { 'content-type': 'application/json', ...what.headers });
            outgoing.end(what.body);
          }, what.delayMs ?? 0);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get mostOpen() {
      return mostOpen;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The body of a chat completion; `logProbs` are those of its first token. */
export function completion(text: string | null, logProbs: Record<string, number> | null = null): string {
  const tokens = Object.entries(logProbs ?? {}).map(([token, logprob]) => ({ token, logprob }));
  const logprobs = logProbs === null ? null : { content: [{ ...tokens[0], top_logprobs: tokens }] };
  return JSON.stringify({
    id: 'x',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop', logprobs }],
    usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
  });
}
