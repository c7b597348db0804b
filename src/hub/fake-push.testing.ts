/**
 * @file For tests: a server on this machine that takes models as the Hub does, as far as `@huggingface/hub` asks: create, ask
 * which files are large, store those, commit. Not used by the program.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from '../files/hash.ts';

export interface WritableHub {
  url: string;
  /** Repositories by name, and their files by path, of every branch. */
  repositories: Map<string, { visibility: string; branches: Map<string, Map<string, Buffer>> }>;
  /** `POST /path`, in order. */
  requests: string[];
  close(): Promise<void>;
}

/** Files above this size go to the storage of large files. */
const LARGE_BYTES = 1000;

type Reply = { status: number; value: unknown };

/** Starts a hub; `writer` may write, every other token may not. Connections are cut in the middle of requests that `isCut` names. */
export async function startWritableHub({
  writer,
  isCut = () => false,
}: {
  writer: string;
  isCut?: (request: string) => boolean;
}): Promise<WritableHub> {
  const repositories: WritableHub['repositories'] = new Map();
  const requests: string[] = [];
  const storage = new Map<string, Buffer>();
  let url = '';

  function reply(method: string, path: string, body: Buffer, token: string): Reply {
    if (method === 'PUT' && path.startsWith('/storage/')) {
      storage.set(sha256(body), body);
      return { status: path === `/storage/${sha256(body)}` ? 200 : 400, value: {} };
    }
    // The real one repeats nothing; one that does must not make us print it.
    if (token === '') return { status: 401, value: { error: 'Who are you?' } };
    if (token !== `Bearer ${writer}`) return { status: 403, value: { error: `Not with ${token}` } };
    if (path === '/api/repos/create') {
      const { name, organization, visibility } = JSON.parse(body.toString()) as Record<string, string>;
      const id = `${organization}/${name}`;
      if (repositories.has(id)) return { status: 409, value: { error: 'You have it already' } };
      repositories.set(id, { visibility: visibility ?? 'public', branches: new Map([['main', new Map()]]) });
      return { status: 200, value: { url: `${url}/${id}`, id } };
    }
    const large = /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/.exec(path);
    if (large !== null) {
      const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
      const answered = objects.map((object) => ({
        ...object,
        ...(storage.has(object.oid) ? {} : { actions: { upload: { href: `${url}/storage/${object.oid}` } } }),
      }));
      return { status: 200, value: { transfer: 'basic', objects: answered } };
    }
    const [, name = '', action = '', branch = ''] = /^\/api\/models\/([^/]+\/[^/]+)\/(\w+)\/([^/]+)$/.exec(path) ?? [];
    const repository = repositories.get(name);
    if (repository === undefined) return { status: 404, value: { error: 'There is none' } };
    const { branches } = repository;
    if (action === 'branch') {
      if (branches.has(branch)) return { status: 409, value: { error: 'There is one' } };
      branches.set(branch, new Map(branches.get('main')));
      return { status: 200, value: {} };
    }
    const tree = branches.get(branch);
    if (tree === undefined) return { status: 404, value: { error: 'No such branch' } };
    if (action === 'preupload') {
      const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] };
      const modes = files.map(({ path: file, size }) => ({
        path: file,
        uploadMode: size > LARGE_BYTES ? 'lfs' : 'regular',
      }));
      return { status: 200, value: { files: modes } };
    }
    for (const line of body.toString().trim().split('\n')) {
      const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
      const { path: file = '', content = '', oid = '' } = value;
      if (key === 'file') tree.set(file, Buffer.from(content, 'base64'));
      if (key === 'lfsFile') tree.set(file, storage.get(oid) ?? Buffer.alloc(0));
    }
    return { status: 200, value: { success: true, commitOid: 'c'.repeat(40), commitUrl: url, hookOutput: '' } };
  }

  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    const { method = '', url: path = '', headers } = incoming;
    if (isCut(`${method} ${path}`)) {
      requests.push(`${method} ${path}`);
      incoming.socket.destroy();
      return;
    }
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      requests.push(`${method} ${path}`);
      const { status, value } = reply(
        method,
        decodeURIComponent(path.split('?')[0] ?? ''),
        Buffer.concat(chunks),
        headers.authorization ?? '',
      );
      outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    repositories,
    requests,
    close: () => new Promise((done) => void server.close(() => done()).closeAllConnections()),
  };
}
