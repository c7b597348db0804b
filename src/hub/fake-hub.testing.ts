/**
 * @file For tests: a server on this machine that answers as the Hub does, as far as `@huggingface/hub` asks. Not used by
 * the program.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from '../files/hash.ts';

/** A repository: commits from the newest back, each with its files. */
export interface FakeRepository {
  type: 'model' | 'dataset';
  name: string;
  /** By commit; the first is `main`. */
  commits: Map<string, Map<string, Buffer>>;
  /** Asks for this token. */
  token?: string;
}

export interface FakeHub {
  url: string;
  /** `GET /path`, in order. */
  requests: string[];
  /** Every Authorization header that came. */
  tokens: Set<string>;
  /** Ends the connection after so many bytes of a file; null: never. */
  cutAfterBytes: number | null;
  /** Changes what is sent, not what is announced. */
  spoil: ((content: Buffer) => Buffer) | null;
  close(): Promise<void>;
}

/** Files above this size are announced as large ones, by their SHA-256. */
const LARGE_BYTES = 1000;

/** Starts a hub with these repositories. */
export async function startFakeHub(repositories: readonly FakeRepository[]): Promise<FakeHub> {
  const state: Omit<FakeHub, 'url' | 'close'> = { requests: [], tokens: new Set(), cutAfterBytes: null, spoil: null };
  const server = createServer((request, response) => answer(request, response, repositories, state));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo; // a TCP server has one
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise<void>((done) => void server.close(() => done()).closeAllConnections()),
  });
}

function answer(
  { url = '', headers }: IncomingMessage,
  response: ServerResponse,
  repositories: readonly FakeRepository[],
  state: Omit<FakeHub, 'url' | 'close'>,
): void {
  const path = decodeURIComponent(url.split('?')[0] ?? '');
  state.requests.push(`GET ${path}`);
  if (headers.authorization !== undefined) state.tokens.add(headers.authorization);
  const refuse = (status: number): void => {
    // The real one repeats nothing; one that does must not make us print it.
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: `Refused, you sent ${headers.authorization ?? 'nothing'}` }));
  };
  for (const repository of repositories) {
    const { type, name, commits, token } = repository;
    const [main = ''] = commits.keys();
    const api = `/api/${type}s/${name}`;
    const files = `${type === 'model' ? '' : '/datasets'}/${name}/resolve/`;
    if (!path.startsWith(`${api}/`) && !path.startsWith(files)) continue;
    if (token !== undefined && headers.authorization !== `Bearer ${token}`) {
      refuse(401);
      return;
    }
    const isCommit = path.startsWith(`${api}/revision/`);
    const prefix = isCommit ? `${api}/revision/` : path.startsWith(api) ? `${api}/tree/` : files;
    const [revision = '', ...rest] = path.slice(prefix.length).split('/');
    const sha = revision === 'main' ? main : revision;
    const tree = commits.get(sha);
    const content = tree?.get(rest.join('/'));
    if (tree === undefined) refuse(404);
    else if (isCommit) json(response, { _id: '1', id: name, sha, lastModified: '2026-01-01' });
    else if (path.startsWith(api))
      json(
        response,
        [...tree].map(([file, bytes]) => entryOf(file, bytes)),
      );
    else if (content === undefined) refuse(404);
    else send(response, content, { range: headers.range, state });
    return;
  }
  refuse(404);
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function entryOf(path: string, content: Buffer): Record<string, unknown> {
  const git = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  const large =
    content.length > LARGE_BYTES ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 100 } } : {};
  return { type: 'file', path, size: content.length, oid: git, ...large };
}

function send(
  response: ServerResponse,
  content: Buffer,
  { range, state }: { range: string | undefined; state: Pick<FakeHub, 'cutAfterBytes' | 'spoil'> },
): void {
  const etag = `"${sha256(content)}"`;
  if (range === 'bytes=0-0') {
    response.writeHead(206, { etag, 'content-range': `bytes 0-0/${content.length}`, 'content-length': 1 });
    response.end(content.subarray(0, 1));
    return;
  }
  const sent = state.spoil?.(content) ?? content;
  response.writeHead(200, { etag, 'content-length': sent.length });
  if (state.cutAfterBytes === null || state.cutAfterBytes >= sent.length) response.end(sent);
  else response.write(sent.subarray(0, state.cutAfterBytes), () => response.destroy());
}
