/**
 * @file Requests that must not pass, sent byte for byte over a socket: each is answered with 4xx (or nothing at all), leaves
 * a line in the log, and gets nothing of the run. The run's texts hold a secret that is looked for in every answer.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import type { RunSummary } from './api.ts';
import { type Studio, serveStudio } from './listen.ts';
import { writeStudioRun } from './studio-run.testing.ts';
import { cookieHeader } from './token.ts';

const token = 'a-token-for-tests-only';
const SECRET = 'kept-to-itself';
let studio: Studio;
let cookie: string;
let lines: string[] = [];

const folder = mkdtempSync(join(tmpdir(), 'selm-hostile-'));

beforeAll(async () => {
  const runs = join(folder, 'runs');
  writeStudioRun(join(runs, 'first'), { text: SECRET, pairs: 1 });
  // What lies beside the listed folder, and names that lead there.
  writeFileSync(join(folder, 'secret.txt'), SECRET);
  mkdirSync(join(folder, 'runs-of-another'));
  writeFileSync(join(folder, 'runs-of-another', 'config.yaml'), SECRET);
  symlinkSync(join(folder, 'secret.txt'), join(runs, 'link.txt'));
  const log = (line: string): void => void lines.push(line);
  const page = { type: 'text/html', content: new TextEncoder().encode('<!doctype html>pages') };
  studio = await serveStudio({ folders: [runs], port: 0, token, assets: new Map([['/', page]]), log });
  cookie = cookieHeader(token, studio.port).split(';')[0] ?? '';
});
afterAll(async () => {
  await studio.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends bytes and returns what comes back until the other side ends, at most for a moment. */
function send(bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(studio.port, '127.0.0.1', () => socket.write(bytes));
    socket.setTimeout(1500, () => socket.destroy());
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

interface Request {
  method?: string;
  target?: string;
  host?: string | null;
  cookie?: string | null;
  headers?: string[];
  body?: string;
}

/** A request as it stands on the wire; without changes it is a good one. */
function request({
  method = 'GET',
  target = '/api/runs',
  host,
  cookie: own,
  headers = [],
  body = '',
}: Request): string {
  const all = [
    ...(host === null ? [] : [`Host: ${host ?? `127.0.0.1:${studio.port}`}`]),
    ...(own === null ? [] : [`Cookie: ${own ?? cookie}`]),
    'Connection: close',
    ...headers,
  ];
  return `${method} ${target} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n${body}`;
}

function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}

const HOSTS: Request[] = [
  { host: 'evil.example' },
  { host: 'evil.example:4300' },
  { host: '127.0.0.1' },
  { host: 'localhost' },
  { host: '127.0.0.1:1' },
  { host: 'localhost.evil.example' },
  { host: '127.0.0.1.nip.io' },
  { host: '0.0.0.0:4300' },
  { host: '[::]:4300' },
  { host: '' },
  { host: 'LOCALHOST@evil.example' },
  { host: '169.254.169.254' },
];

const ORIGINS: Request[] = [
  'http://evil.example',
  'https://127.0.0.1',
  'null',
  'http://127.0.0.1:1',
  'http://localhost',
  'http://127.0.0.1.evil.example',
  'file://',
  'chrome-extension://abcdef',
  '',
].map((origin) => ({ headers: [`Origin: ${origin}`] }));

const SITES: Request[] = ['cross-site', 'same-site', 'none, cross-site', 'SAME-ORIGIN', 'x'].map((site) => ({
  headers: [`Sec-Fetch-Site: ${site}`],
}));

const METHODS: Request[] = ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'get'].map((method) => ({
  method,
}));

const TARGETS: Request[] = [
  '/../secret.txt',
  '/..%2fsecret.txt',
  '/%2e%2e/secret.txt',
  '/%2e%2e%2fsecret.txt',
  '/%252e%252e%252fsecret.txt',
  '/..%5csecret.txt',
  '/..\\secret.txt',
  '/.%00./secret.txt',
  '/studio.js%00.html',
  '/%c0%ae%c0%ae/secret.txt',
  '/%uff0e%uff0e/secret.txt',
  '/..;/secret.txt',
  '/....//secret.txt',
  '//evil.example/',
  '/\\evil.example/',
  'http://evil.example/',
  'file:///etc/passwd',
  '*',
  '/api/runs/..',
  '/api/runs/..%2f..%2fsecret.txt',
  '/api/runs/%2e%2e%2fruns-of-another',
  '/api/runs/..%252fruns-of-another',
  '/api/runs/first%2f..%2f..%2fruns-of-another',
  '/api/runs/first/../../../secret.txt',
  '/api/runs/link.txt',
  '/api/runs/%2fetc%2fpasswd',
  '/api/runs/C:%5cWindows',
  '/api/runs/CON',
  '/api/runs/first%00',
  '/api/runs/first%0d%0aSet-Cookie:%20a=b',
  '/api/runs/__proto__',
  '/api/runs/constructor',
  '/api/runs/%zz',
  '/api/runs/first/nothing',
  '/api/runs/first/pairs/__proto__',
  `/api/runs/${'a'.repeat(3000)}`,
  '/etc/passwd',
  '/run.db',
  '/runs/first/run.db',
  '/src/server/app.ts',
  '/.git/config',
  '/caf\u00e9',
].map((target) => ({ target }));

const QUERIES: Request[] = [
  'pairs?limit=1000000',
  'pairs?limit=-1',
  'pairs?limit=x',
  'pairs?offset=-1',
  'pairs?offset=1e99',
  'pairs?order=p.pairId;DROP%20TABLE%20pairs',
  'pairs?iteration=%27%20OR%201=1',
  'pairs?chosenFrom=x',
  `pairs?search=${'x'.repeat(600)}`,
  'pairs?search=%ff',
  'prompts?source=../x',
  'samples?source=training',
  'curves?names=loss&points=1000000000',
  'curves',
  'events?after=-1',
  'events?after=1e3',
  'events?after=99999999999999999999',
].map((query) => ({ target: `/api/runs/first/${query}` }));

const STREAMS: Request[] = [
  { target: '/api/runs/first/events', headers: ['Last-Event-ID: -5'] },
  { target: '/api/runs/first/events', headers: ['Last-Event-ID: 0x10'] },
  { target: '/api/runs/first/events', headers: ['Last-Event-ID: 1 OR 1=1'] },
  { target: '/api/runs/first/events', headers: [`Last-Event-ID: ${'9'.repeat(4000)}`] },
  { target: '/api/runs/first/events', headers: ['Last-Event-ID: 1', 'Last-Event-ID: 2'] },
  { target: '/api/runs/nowhere/events' },
  { target: '/api/runs/first/events', cookie: null },
  { target: '/api/events', cookie: null },
  { target: '/api/events', headers: ['Origin: http://evil.example'] },
];

const TOKENS: Request[] = [
  { cookie: null },
  { cookie: '' },
  { cookie: 'selm_studio=x' },
  { cookie: `selm_studio_1=${token}` },
  { cookie: null, target: '/' },
  { cookie: null, target: '/studio.js' },
  { cookie: null, target: '/?token=' },
  { cookie: null, target: `/?token=${token.slice(0, -1)}` },
  { cookie: null, target: `/?token=${token}x` },
  { cookie: null, target: `/api/runs?token=${token}` },
  { cookie: null, target: `/?Token=${token}` },
  { cookie: null, headers: ['Authorization: Bearer '] },
  { cookie: null, headers: ['Authorization: Bearer wrong'] },
  { cookie: null, headers: [`Authorization: Basic ${Buffer.from(`a:${token}`).toString('base64')}`] },
  { cookie: null, headers: [`X-Token: ${token}`] },
];

const BODIES: Request[] = [
  { headers: ['Content-Length: 5'], body: 'hello' },
  { headers: ['Content-Length: 99999999999'], body: 'x' },
  { headers: ['Transfer-Encoding: chunked'], body: '5\r\nhello\r\n0\r\n\r\n' },
  { method: 'POST', headers: ['Content-Type: text/plain', 'Content-Length: 2'], body: '{}' },
];

const answers = (changes: Request & { json?: string; type?: string }): Request => {
  const { json = '{"question":"x","choice":"left","seconds":1,"key":"12345678"}', type = 'application/json' } = changes;
  return {
    method: 'POST',
    target: '/api/runs/first/answers',
    body: json,
    ...changes,
    headers: [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(json)}`, ...(changes.headers ?? [])],
  };
};

/** Answers that are none: by another site, to nothing, of another form, too long. */
const ANSWERS: Request[] = [
  answers({ headers: ['Origin: http://evil.example'] }),
  answers({ headers: ['Origin: null'] }),
  answers({ headers: ['Sec-Fetch-Site: cross-site'] }),
  answers({ cookie: null }),
  answers({ host: 'evil.example' }),
  answers({ type: 'text/plain' }),
  answers({ type: 'application/x-www-form-urlencoded' }),
  answers({ type: 'multipart/form-data; boundary=x' }),
  answers({}), // of a question that the run did not ask
  answers({ json: '' }),
  answers({ json: '{' }),
  answers({ json: 'null' }),
  answers({ json: '[]' }),
  answers({ json: '{"question":"x","choice":"win","seconds":1,"key":"12345678"}' }),
  answers({ json: '{"question":"x","choice":"left","seconds":-1,"key":"12345678"}' }),
  answers({ json: '{"question":"x","choice":"left","seconds":1,"key":"1"}' }),
  answers({ json: '{"question":"x","choice":"left","seconds":1,"key":"12345678","__proto__":{"a":1},"more":1}' }),
  answers({ json: `{"question":"${'x'.repeat(9000)}","choice":"left","seconds":1,"key":"12345678"}` }),
  answers({ json: 'x'.repeat(20_000) }),
  answers({ target: '/api/runs/nowhere/answers' }),
  answers({ target: '/api/runs/..%2f..%2fx/answers' }),
  answers({ target: '/api/runs/first/answers?x=1' }),
  answers({ target: '/api/runs/first/pairs' }),
  answers({ method: 'PUT' }),
];

const groups: Record<string, Request[]> = {
  'Host (a page that points its name at this machine)': HOSTS,
  'Origin (a page of another site)': ORIGINS,
  'Sec-Fetch-Site': SITES,
  'the method': METHODS,
  'where the address leads': TARGETS,
  'what is asked for': QUERIES,
  streams: STREAMS,
  'the token': TOKENS,
  'a body': BODIES,
  'an answer that is none': ANSWERS,
};

describe.each(Object.entries(groups))('refused for %s:', (_, requests) => {
  it.each(requests.map((each) => [shown(each), each] as const))('%s', async (_name, each) => {
    lines = [];
    const answer = await send(request(each));
    const status = statusOf(answer);
    expect(answer).not.toContain(SECRET);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    // Node's own parser answers for what is no HTTP; everything else is told.
    if (answer.includes('content-type')) expect(lines).toHaveLength(1);
    expect(lines.join('\n')).not.toContain(token);
    for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u);
  });
});

describe('not HTTP at all:', () => {
  it.each([
    ['two Host headers', () => request({ headers: [`Host: evil.example`] })],
    ['CONNECT, as to a proxy', () => request({ method: 'CONNECT' })],
    ['no Host header', () => request({ host: null })],
    ['a null byte in a header', () => request({ headers: ['X: a\0b'] })],
    ['a line end in a header name', () => request({ headers: ['X\n: a'] })],
    ['a space before the colon', () => request({ headers: ['X : a'] })],
    [
      'both lengths (request smuggling)',
      () => request({ headers: ['Content-Length: 4', 'Transfer-Encoding: chunked'], body: '0\r\n\r\n' }),
    ],
    ['two lengths', () => request({ headers: ['Content-Length: 0', 'Content-Length: 5'], body: 'hello' })],
    ['a header of 100 KB', () => request({ headers: [`X: ${'a'.repeat(100_000)}`] })],
    ['a target of 100 KB', () => request({ target: `/${'a'.repeat(100_000)}` })],
    ['a line end in the target', () => request({ target: '/ HTTP/1.1\r\nX: y\r\n\r\nGET /api/runs', cookie: null })],
    ['another protocol', () => Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')],
    [
      'a WebSocket of another site',
      () => request({ headers: ['Upgrade: websocket', 'Connection: Upgrade', 'Origin: http://evil.example'] }),
    ],
  ])('%s', async (_, bytes) => {
    const answer = await send(bytes());
    expect(answer).not.toContain(SECRET);
    expect(answer).not.toMatch(/^HTTP\/1\.1 [235]/);
  });
});

describe('legitimate requests pass:', () => {
  it.each<[string, Request, number]>([
    ['with the cookie', {}, 200],
    ['from a page of the studio', { headers: ['Sec-Fetch-Site: same-origin'] }, 200],
    ['typed into the address bar', { target: '/', headers: ['Sec-Fetch-Site: none'] }, 200],
    ['by a program with the token', { cookie: null, headers: [`Authorization: Bearer ${token}`] }, 200],
    ['HEAD', { method: 'HEAD' }, 200],
    ['with an empty body', { headers: ['Content-Length: 0'] }, 200],
    ['beside cookies of others', { headers: ['X: y'] }, 200],
    ['the start address', { cookie: null, target: `/?token=${token}` }, 303],
  ])('%s', async (_, each, status) => {
    expect(statusOf(await send(request(each)))).toBe(status);
  });

  it('under the names of this machine', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]'])
      expect(
        statusOf(
          await send(request({ host: `${host}:${studio.port}`, headers: [`Origin: http://${host}:${studio.port}`] })),
        ),
      ).toBe(200);
  });
});

test('the start address gives a cookie that no script and no other site gets, and takes the token out of the address', async () => {
  const answer = await send(request({ cookie: null, target: `/?token=${token}` }));
  expect(answer).toMatch(/^location: \/\r$/im);
  expect(answer).toMatch(/^set-cookie: selm_studio_\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict\r$/im);
  expect(answer).not.toContain(token);
});

test('every answer, refused ones too, forbids scripts of others, frames and guessing of types', async () => {
  for (const each of [{}, { target: '/' }, { target: '/nothing' }, { cookie: null }, { host: 'evil.example' }]) {
    const answer = (await send(request(each))).toLowerCase();
    expect(answer).toContain("content-security-policy: default-src 'none'; script-src 'self'");
    expect(answer).toContain("frame-ancestors 'none'");
    expect(answer).toContain('x-content-type-options: nosniff');
    expect(answer).not.toContain('access-control-allow-origin');
  }
});

test('whoever guesses tokens is told to wait, and whoever has the cookie is not', async () => {
  const answers = [];
  for (let n = 0; n < 25; n++)
    answers.push(statusOf(await send(request({ cookie: null, target: `/?token=guess-${n}` }))));
  expect(answers.at(-1)).toBe(429);
  expect(statusOf(await send(request({})))).toBe(200);
});

test('more streams than pages can need are refused', async () => {
  const leaving = new AbortController();
  const open = () =>
    fetch(`http://127.0.0.1:${studio.port}/api/events`, {
      headers: { authorization: `Bearer ${token}` },
      signal: leaving.signal,
    });
  const statuses = (await Promise.all(Array.from({ length: 110 }, open))).map(({ status }) => status);
  leaving.abort();
  expect(statuses.filter((status) => status === 200)).toHaveLength(100);
  expect(statuses.filter((status) => status === 429)).toHaveLength(10);
});

test('the run is listed all the while', async () => {
  const response = await fetch(`http://127.0.0.1:${studio.port}/api/runs`, { headers: { cookie } });
  const { runs } = (await response.json()) as { runs: RunSummary[] };
  expect(runs.map(({ id }) => id)).toEqual(['first']);
});

function shown({ method = '', target = '', host, cookie: own, headers = [] }: Request): string {
  const parts = [method, target, host === undefined ? '' : `Host: ${host}`, own === undefined ? '' : `cookie ${own}`];
  return [...parts, ...headers]
    .filter((part) => part !== '')
    .join(' ')
    .slice(0, 90);
}
