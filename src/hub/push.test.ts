import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import type { HubError } from '../errors.ts';
import { startWritableHub, type WritableHub } from './fake-push.testing.ts';
import { checkRepository, type FileToPush, type PushOptions, pushFiles } from './push.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-push-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let hub: WritableHub;
beforeEach(async () => {
  hub = await startWritableHub({ writer: 'hf_writer' });
});
afterEach(() => hub.close());

const weights = Buffer.alloc(5000, 7);
writeFileSync(join(folder, 'model.safetensors'), weights);
const files: FileToPush[] = [
  { path: 'model.safetensors', content: { kind: 'file', place: join(folder, 'model.safetensors') } },
  { path: 'README.md', content: { kind: 'text', text: '# A model\n' } },
];

function options(changes: Partial<PushOptions> = {}, token: string | null = 'hf_writer'): PushOptions {
  return {
    settings: { url: hub.url, token, offline: false, cachePath: folder },
    ...{ repository: 'me/model', revision: 'main', visibility: 'private', title: 'A model', tell: () => {} },
    ...changes,
  };
}

async function failure(work: Promise<unknown>): Promise<HubError> {
  return work.then(
    () => {
      throw new Error('It did not fail');
    },
    (error: HubError) => error,
  );
}

it('creates a private repository, stores the large file, and commits both', async () => {
  const pushed = await pushFiles(files, options());
  expect(pushed).toEqual({ url: `${hub.url}/me/model`, commit: 'c'.repeat(40) });
  const made = hub.repositories.get('me/model');
  expect(made?.visibility).toBe('private');
  const tree = made?.branches.get('main');
  expect(tree?.get('model.safetensors')).toEqual(weights);
  expect(tree?.get('README.md')?.toString()).toBe('# A model\n');
});

it('pushed again to a branch of a repository that is there, the large file is not sent a second time', async () => {
  await pushFiles(files, options());
  const sent: string[] = [];
  await pushFiles(files, options({ revision: 'second', tell: (text) => void sent.push(text) }));
  expect(hub.requests.filter((request) => request.startsWith('PUT'))).toHaveLength(1);
  expect(hub.repositories.get('me/model')?.branches.get('second')?.get('model.safetensors')).toEqual(weights);
});

it('a token without the right to write is refused in a sentence that does not show it', async () => {
  const error = await failure(pushFiles(files, options({}, 'hf_readeronly')));
  expect(error.code).toBe('HUB_FORBIDDEN');
  expect(error.message).toContain('Cannot push to "me/model": the Hub refuses it (403): HF_TOKEN may not write there');
  expect(JSON.stringify([error.message, error.details])).not.toContain('hf_readeronly');
  expect(hub.repositories.size).toBe(0);
});

it('without a token, or offline, nothing is asked', async () => {
  expect((await failure(pushFiles(files, options({}, null)))).code).toBe('HUB_TOKEN_MISSING');
  const { settings } = options();
  expect((await failure(pushFiles(files, options({ settings: { ...settings, offline: true } })))).code).toBe(
    'HUB_OFFLINE',
  );
  expect(hub.requests).toEqual([]);
});

it('a Hub that is away is told with its address', async () => {
  const away = options();
  await hub.close();
  const error = await failure(pushFiles(files, away));
  expect(error.code).toBe('HUB_UNREACHABLE');
  expect(error.message).toContain(hub.url);
});

it.each(['PUT /storage/', 'POST /api/models/me/model/commit/'])(
  'a connection that breaks in %s leaves no half commit, and the same push goes through afterwards',
  async (cut) => {
    await hub.close();
    let isBroken = true;
    hub = await startWritableHub({ writer: 'hf_writer', isCut: (request) => isBroken && request.startsWith(cut) });
    const error = await failure(pushFiles(files, options()));
    expect(error.code).toBe('HUB_UNREACHABLE');
    expect(error.message).toMatch(/Cannot push to "me\/model".*run the same command again/);
    expect(JSON.stringify([error.message, error.details])).not.toContain('hf_writer');
    expect(hub.repositories.get('me/model')?.branches.get('main')?.size).toBe(0);
    isBroken = false;
    await pushFiles(files, options());
    expect(hub.repositories.get('me/model')?.branches.get('main')?.get('model.safetensors')).toEqual(weights);
  },
);

it.each(['model', 'me/model@main', 'a/b/c', '../x', 'me/mo del'])('%s is no repository to push to', (name) => {
  expect(() => checkRepository(name)).toThrow('give owner/name');
});
