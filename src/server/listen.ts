/** @file Serves the studio on this machine's own address, and no other: what is beyond it needs a tunnel. */
import { serve } from '@hono/node-server';
import { RunError } from '../errors.ts';
import { errorCode } from '../files/fs.ts';
import { createStudio } from './app.ts';
import { type Asset, studioAssets } from './assets.ts';
import { OpenRuns } from './open-runs.ts';
import { checkFolders } from './run-list.ts';
import { invitationOf, newToken, type Visitor } from './token.ts';

export interface ListenOptions {
  /** Folders of runs, or with runs in them. */
  folders: readonly string[];
  port: number;
  /** What lets in. @default a new one */
  token?: string | undefined;
  /** @default those of web/ */
  assets?: ReadonlyMap<string, Asset>;
  /** The program that `selm` is, in commands to copy: a path or a name. @default selm */
  launcher?: string;
  log?: (line: string) => void;
}

/** A studio that is being served. */
export interface Studio {
  /** The start URL, with the token. */
  url: string;
  port: number;
  /** The address that lets somebody in under a name of theirs. */
  invitation(visitor: Visitor): string;
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';

/** Serves the studio. Throws RunError STUDIO_FOLDER, STUDIO_PORT_BUSY or STUDIO_PORT_DENIED. */
export async function serveStudio({
  folders,
  port,
  token = newToken(),
  assets,
  launcher = 'selm',
  log = () => {},
}: ListenOptions): Promise<Studio> {
  checkToken(token);
  const runs = new OpenRuns(checkFolders(folders), { launcher });
  const pages = assets ?? (await studioAssets());
  const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
    // The application knows its port only when it listens; no request comes before.
    let app: ReturnType<typeof createStudio> | null = null;
    const listening = serve(
      {
        fetch: (request, env) => app?.fetch(request, env) ?? new Response(null, { status: 503 }),
        port,
        hostname: LOOPBACK,
      },
      (address) => {
        app = createStudio({ runs, token, port: address.port, assets: pages, log });
        resolve(listening);
      },
    );
    listening.on('error', (error) => reject(listenError(error, port)));
  });
  const address = server.address();
  const listened = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://${LOOPBACK}:${listened}/?token=${token}`,
    port: listened,
    invitation: (visitor) => `http://${LOOPBACK}:${listened}/?token=${invitationOf(visitor, token)}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ('closeAllConnections' in server) server.closeAllConnections(); // streams do not end by themselves
      await closed;
      runs.close();
    },
  };
}

/** A token of one's own must be as hard to guess as it needs to be, and fit into a URL. */
function checkToken(token: string): void {
  if (/^[\w-]{16,200}$/.test(token)) return;
  throw new RunError(
    'STUDIO_TOKEN',
    'Cannot serve the studio: its token must have 16 to 200 letters, digits, - or _: leave it out for a random one',
  );
}

function listenError(error: unknown, port: number): unknown {
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return new RunError(
        'STUDIO_PORT_BUSY',
        `Cannot serve the studio on port ${port}: another program listens there (perhaps another studio): stop it, or give --port 0 for any free one`,
        { details: { port } },
      );
    case 'EACCES':
      return new RunError(
        'STUDIO_PORT_DENIED',
        `Cannot serve the studio on port ${port}: this user may not use it: give a port above 1023, or --port 0 for any free one`,
        { details: { port } },
      );
    default:
      return error;
  }
}
