/** @file Models and data from a Hub on this machine: cache, pinned commits, offline, a token that nobody sees, no half file. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HubError } from '../errors.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { type FakeHub, type FakeRepository, startFakeHub } from './fake-hub.testing.ts';
import { type FetchOptions, fetchData, fetchModel, type HubPin } from './fetch.ts';
import { hubSettings } from './settings.ts';

const OLD = 'a'.repeat(40);
const NEW = 'b'.repeat(40);
const TOKEN = 'hf_SecretOfTheTest123';

const text = (value: string): Buffer => Buffer.from(value);
const rows = (name: string): Buffer => text(`{"prompt":"${name}"}\n`.repeat(100));

function model(files: Record<string, Buffer> = {}): FakeRepository {
  const all = {
    'config.json': text('{}'),
    'tokenizer.json': text('{"version":"1.0"}'),
    'model.safetensors': Buffer.alloc(5000, 7),
    'pytorch_model.bin': Buffer.alloc(5000, 8),
    'onnx/model.json': text('{}'),
    'README.md': text('hello'),
    ...files,
  };
  return { type: 'model', name: 'owner/small', commits: new Map([[NEW, new Map(Object.entries(all))]]) };
}

function dataset(): FakeRepository {
  const files = (version: string): Map<string, Buffer> =>
    new Map([
      ['data/train_prefs-00000-of-00002.parquet', rows(`${version} first`)],
      ['data/train_prefs-00001-of-00002.parquet', rows(`${version} second`)],
      ['data/test_prefs-00000-of-00001.parquet', rows(`${version} test`)],
      ['extra.jsonl', rows('extra')],
      ['README.md', text('hello')],
    ]);
  return { type: 'dataset', name: 'owner/prefs', commits: new Map([[OLD, files('old')]]) };
}

interface World extends FetchOptions {
  hub: FakeHub;
  cache: string;
  told: string[];
}

/** A hub, and an empty cache for it. */
async function world(repositories: FakeRepository[], environment: Record<string, string> = {}): Promise<World> {
  const hub = await startFakeHub(repositories);
  onTestFinished(() => hub.close());
  const cache = join(temporaryFolder(), 'cache');
  const told: string[] = [];
  const settings = hubSettings({ HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, ...environment });
  return { hub, cache, told, settings, pins: [], tell: (sentence) => void told.push(sentence) };
}

const offline = (here: World, pins: HubPin[] = []): FetchOptions => ({
  ...here,
  pins,
  settings: { ...here.settings, offline: true, url: 'http://127.0.0.1:9' },
});

async function failure(outcome: Promise<unknown>): Promise<HubError> {
  const error: unknown = await outcome.catch((thrown: unknown) => thrown);
  if (error instanceof HubError) return error;
  throw new Error('It was fetched', { cause: error });
}

/** Every file below a folder, in words: what a leftover would be seen in. */
const below = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort() : [];

describe('fetchModel()', () => {
  it('fetches settings and safetensors, in the layout that other tools read, and asks for no file twice', async () => {
    const here = await world([model()]);
    const folder = await fetchModel('hub:owner/small', here);
    expect(folder).toBe(join(here.cache, 'models--owner--small', 'snapshots', NEW));
    expect(readdirSync(folder).sort()).toEqual(['README.md', 'config.json', 'model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(Buffer.alloc(5000, 7));
    expect(readlinkSync(join(folder, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    expect(readFileSync(join(here.cache, 'models--owner--small', 'refs', 'main'), 'utf8')).toBe(NEW);
    expect(here.pins).toEqual([{ type: 'model', repository: 'owner/small', revision: 'main', commit: NEW }]);
    expect(here.told).toHaveLength(4);

    here.hub.requests.length = 0;
    expect(await fetchModel('hub:owner/small', here)).toBe(folder);
    expect(here.hub.requests.filter((request) => request.includes('/resolve/'))).toEqual([]);
  });

  it('takes the shards of an index, and refuses a repository that lacks one of them, or has no safetensors', async () => {
    const shards = {
      'model.safetensors.index.json': text('{}'),
      'model-00001-of-00002.safetensors': Buffer.alloc(2000, 1),
      'model-00002-of-00002.safetensors': Buffer.alloc(2000, 2),
    };
    const here = await world([model(shards)]);
    const folder = await fetchModel('hub:owner/small', here);
    expect(readdirSync(folder).filter((name) => name.endsWith('.safetensors'))).toHaveLength(2);

    const { 'model-00002-of-00002.safetensors': _, ...first } = shards;
    const error = await failure(fetchModel('hub:owner/small', await world([model(first)])));
    expect(error.message).toContain('it has no model-00002-of-00002.safetensors');

    const none: FakeRepository = { ...model(), commits: new Map([[NEW, new Map([['pytorch_model.bin', text('x')]])]]) };
    expect(await failure(fetchModel('hub:owner/small', await world([none])))).toMatchObject({ code: 'HUB_INCOMPLETE' });
  });
});

describe('fetchData()', () => {
  it.each([
    [
      'a split',
      'hub:owner/prefs:train_prefs',
      ['train_prefs-00000-of-00002.parquet', 'train_prefs-00001-of-00002.parquet'],
    ],
    ['a path', 'hub:owner/prefs:extra.jsonl', ['extra.jsonl']],
    [
      'a pattern',
      'hub:owner/prefs:data/t*_prefs-00000-*',
      ['test_prefs-00000-of-00001.parquet', 'train_prefs-00000-of-00002.parquet'],
    ],
  ])('fetches %s, in order', async (_, name, files) => {
    const paths = await fetchData(name, await world([dataset()]));
    expect(paths.map((path) => path.split('/').at(-1))).toEqual(files);
    expect(paths.every((path) => existsSync(path))).toBe(true);
  });

  it('names the splits that there are', async () => {
    const error = await failure(fetchData('hub:owner/prefs', await world([dataset()])));
    expect(error.message).toContain(
      '"train": name one of hub:owner/prefs:extra, hub:owner/prefs:test_prefs, hub:owner/prefs:train_prefs',
    );
    expect(error.exitCode).toBe(2);
  });

  it('keeps to the commit of the pins when the branch moves, and follows it without them', async () => {
    const prefs = dataset();
    const here = await world([prefs]);
    const [before] = await fetchData('hub:owner/prefs:extra', here);
    const [oldFiles = new Map<string, Buffer>()] = prefs.commits.values();
    prefs.commits = new Map([
      [NEW, new Map([['extra.jsonl', rows('newer')]])],
      [OLD, oldFiles],
    ]);

    expect(await fetchData('hub:owner/prefs:extra', here)).toEqual([before]);
    const [after] = await fetchData('hub:owner/prefs:extra', { ...here, pins: [] });
    expect(after).toContain(NEW);
    expect(readFileSync(after ?? '', 'utf8')).toContain('newer');
    const [named] = await fetchData(`hub:owner/prefs@${OLD}:train_prefs`, { ...here, pins: [] });
    expect(named).toContain(OLD);
  });
});

describe('offline', () => {
  it('gives what the cache has without a request, by branch and by pin', async () => {
    const here = await world([model(), dataset()]);
    const folder = await fetchModel('hub:owner/small', here);
    const files = await fetchData('hub:owner/prefs:train_prefs', here);
    here.hub.requests.length = 0;
    expect(await fetchModel('hub:owner/small', offline(here))).toBe(folder);
    expect(await fetchData('hub:owner/prefs:train_prefs', offline(here, here.pins))).toEqual(files);
    expect(here.hub.requests).toEqual([]);
  });

  it('says what the cache lacks: a repository, a part, a split', async () => {
    const here = await world([dataset()]);
    expect((await failure(fetchModel('hub:owner/small', offline(here)))).message).toContain(
      'HF_HUB_OFFLINE is set and its main is not in',
    );
    await fetchData('hub:owner/prefs:data/train_prefs-00000-of-00002.parquet', here);
    expect((await failure(fetchData('hub:owner/prefs:train_prefs', offline(here)))).message).toContain(
      'the cache has no data/train_prefs-00001-of-00002.parquet',
    );
    expect(await failure(fetchData('hub:owner/prefs:test_prefs', offline(here)))).toMatchObject({
      code: 'HUB_NO_SPLIT',
    });
  });
});

describe('the token', () => {
  it('is sent, and shown by no message, also where the server repeats it', async () => {
    const secret = { ...model(), token: TOKEN };
    const here = await world([secret], { HF_TOKEN: TOKEN });
    await fetchModel('hub:owner/small', here);
    expect(here.hub.tokens).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(JSON.stringify([here.told, here.pins])).not.toContain(TOKEN);
    expect(below(here.cache).join('\n')).not.toContain(TOKEN);

    for (const name of ['hub:owner/absent', 'hub:owner/small@missing']) {
      const error = await failure(fetchModel(name, here));
      expect(error.code).toBe('HUB_NOT_FOUND');
      expect(`${error.stack} ${JSON.stringify(error.details)} ${String(error.cause)}`).not.toContain(TOKEN);
    }
    const other = await world([secret], { HF_TOKEN: 'hf_wrong' });
    const error = await failure(fetchModel('hub:owner/small', other));
    expect(error).toMatchObject({ code: 'HUB_FORBIDDEN' });
    expect(error.message).not.toContain('hf_wrong');
  });

  it('of another form is refused unseen', () => {
    const refused = (): unknown => hubSettings({ HF_TOKEN: 'my-secret\nwith lines' });
    expect(refused).toThrow(expect.objectContaining({ code: 'HUB_SETTINGS' }));
    expect(refused).not.toThrow(/my-secret/);
  });

  it('that is missing is said to be', async () => {
    const error = await failure(fetchModel('hub:owner/small', await world([{ ...model(), token: TOKEN }])));
    expect(error.message).toContain('set HF_TOKEN');
  });
});

describe('a download', () => {
  it('that is cut off leaves no file, and the next one mends it', async () => {
    const here = await world([model()]);
    here.hub.cutAfterBytes = 2500;
    const error = await failure(fetchModel('hub:owner/small', here));
    expect(error.code).toMatch(/^HUB_(UNREACHABLE|DAMAGED)$/);
    const left = below(here.cache);
    expect(left.filter((name) => /incomplete|model\.safetensors/.test(name))).toEqual([]);
    here.hub.cutAfterBytes = null;
    const folder = await fetchModel('hub:owner/small', here);
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(Buffer.alloc(5000, 7));
  });

  it('of other content than announced is refused', async () => {
    const here = await world([model()]);
    here.hub.spoil = (content) => Buffer.from(content.map((byte, i) => (i === content.length - 1 ? byte ^ 1 : byte)));
    expect(await failure(fetchModel('hub:owner/small', here))).toMatchObject({ code: 'HUB_DAMAGED' });
    expect(below(here.cache).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  it('clears what a process that is gone left of it', async () => {
    const here = await world([model()]);
    const folder = await fetchModel('hub:owner/small', here);
    const blobs = join(here.cache, 'models--owner--small', 'blobs');
    const [blob = ''] = [readlinkSync(join(folder, 'model.safetensors')).split('/').at(-1)];
    rmSync(join(blobs, blob));
    // No process has this id: it is above Linux's largest.
    writeFileSync(join(blobs, `.${blob}.4194305.incomplete`), 'half');
    await fetchModel('hub:owner/small', here);
    expect(readdirSync(blobs).filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(readdirSync(blobs)).toContain(blob);
  });

  it('never leaves the cache, whatever the repository calls its files', async () => {
    const names = [
      '../../../evil.json',
      '/tmp/evil.json',
      'data/../../evil-00000-of-00001.parquet',
      'C:\\evil.json',
      '..\\evil.json',
    ];
    const files = new Map([...names.map((name) => [name, text('{}')] as const), ['extra.jsonl', rows('extra')]]);
    const evil: FakeRepository = { type: 'dataset', name: 'owner/evil', commits: new Map([[NEW, files]]) };
    const here = await world([evil]);
    for (const part of ['evil', '*', 'extra']) await fetchData(`hub:owner/evil:${part}`, here).catch(() => {});
    const [one] = await fetchData('hub:owner/evil:extra', here);
    expect(one).toMatch(/extra\.jsonl$/);
    expect(
      below(join(here.cache, '..')).filter((name) => name.includes('evil.json') || name.includes('evil-')),
    ).toEqual([]);
  });

  it('is abortable', async () => {
    const here = await world([model()]);
    const signal = AbortSignal.abort(new Error('stopped'));
    await expect(fetchModel('hub:owner/small', { ...here, signal })).rejects.toThrow('stopped');
  });
});

it.each([
  ['hub:../x', 'repository'],
  ['hub:a/b/c', 'repository'],
  ['hub:owner/name@../x', 'revision'],
  ['hub:owner/name:../x', 'part'],
  ['hub:owner/name:/x', 'part'],
])('%s is refused before anything is asked', async (name, what) => {
  const here = await world([]);
  expect((await failure(fetchData(name, here))).message).toContain(`it has the ${what}`);
  expect(here.hub.requests).toEqual([]);
});

it('a Hub that cannot be reached is said to be, with its address', async () => {
  const here = await world([]);
  const error = await failure(
    fetchModel('hub:owner/small', { ...here, settings: { ...here.settings, url: 'http://127.0.0.1:9' } }),
  );
  expect(error).toMatchObject({ code: 'HUB_UNREACHABLE' });
  expect(error.message).toContain('http://127.0.0.1:9');
  expect(error.message).toContain('HF_HUB_OFFLINE=1');
});
