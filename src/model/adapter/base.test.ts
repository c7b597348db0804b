/** @file An adapter names its base so that others find it: as on the Hub, or from where the command was started. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { baseDirectory } from './adapter.ts';
import { formatAdapterConfig } from './adapter-config.ts';
import { baseNameOf, findBase } from './base.ts';

const STORIES = join(packageRoot, 'assets', 'stories260K');
const COMMIT = 'a'.repeat(40);

afterEach(() => vi.unstubAllEnvs());

/** A Hub cache that holds the story model as owner/stories, at COMMIT, which is its branch main. */
function hubCache(): string {
  const cache = temporaryFolder();
  const repository = join(cache, 'models--owner--stories');
  cpSync(STORIES, join(repository, 'snapshots', COMMIT), { recursive: true });
  mkdirSync(join(repository, 'refs'));
  writeFileSync(join(repository, 'refs', 'main'), COMMIT);
  vi.stubEnv('HF_HUB_CACHE', cache);
  return join(repository, 'snapshots', COMMIT);
}

function adapterOf(name: { base: string; revision: string | null }, folder = temporaryFolder()): string {
  mkdirSync(folder, { recursive: true });
  const text = formatAdapterConfig({ ...name, rank: 4, alpha: 8, rankStabilised: false, targets: ['q_proj'] });
  writeFileSync(join(folder, 'adapter_config.json'), text);
  return folder;
}

test("a base in the Hub's cache is named by its repository and commit, and found again by them", () => {
  const snapshot = hubCache();
  const name = baseNameOf(snapshot, temporaryFolder());
  expect(name).toEqual({ base: 'owner/stories', revision: COMMIT });
  expect(baseDirectory(adapterOf(name))).toBe(snapshot);
});

test('a name on the Hub without a revision means what its branch main was last seen at', () => {
  const snapshot = hubCache();
  expect(baseDirectory(adapterOf({ base: 'owner/stories', revision: null }))).toBe(snapshot);
});

test('a name on the Hub that the cache lacks is refused with what to do', () => {
  hubCache();
  expect(() => baseDirectory(adapterOf({ base: 'owner/other', revision: null }))).toThrow(
    expect.objectContaining({
      code: 'ADAPTER_BASE',
      message: expect.stringContaining('selm generate hub:owner/other'),
    }),
  );
});

test('a folder is named from where the command was started if the adapter lies below there too, else in full', () => {
  const [here, elsewhere] = [join(process.cwd(), 'runs', 'x', 'iteration-1', 'model'), temporaryFolder()];
  expect(baseNameOf(STORIES, here)).toEqual({ base: relative(process.cwd(), STORIES), revision: null });
  expect(baseNameOf(STORIES, elsewhere)).toEqual({ base: STORIES, revision: null });
  expect(baseNameOf(elsewhere, here)).toEqual({ base: elsewhere, revision: null });
});

test('a base that was named from the folder of a project is found after the project moved, from anywhere', () => {
  const project = temporaryFolder();
  cpSync(STORIES, join(project, 'models', 'base'), { recursive: true });
  const name = { base: 'models/base', revision: null };
  const adapter = adapterOf(name, join(project, 'runs', 'x', 'iteration-1', 'model'));
  expect(findBase(name, adapter)).toBe(join(project, 'models', 'base'));
});
