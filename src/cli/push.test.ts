import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { startWritableHub, type WritableHub } from '../hub/fake-push.testing.ts';
import { programFor } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-push-'));
let hub: WritableHub | null = null;
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await hub?.close();
});

const card = '---\nbase_model: org/base\nlicense: mit\n---\n\n# It\n';
for (const [name, text] of Object.entries({ 'config.json': '{}', 'model.safetensors': 'weights', 'README.md': card })) {
  mkdirSync(join(folder, 'model'), { recursive: true });
  writeFileSync(join(folder, 'model', name), text);
}

async function push(...args: string[]): Promise<string> {
  hub = await startWritableHub({ writer: 'hf_writer' });
  vi.stubEnv('HF_ENDPOINT', hub.url);
  vi.stubEnv('HF_TOKEN', 'hf_writer');
  vi.stubEnv('HF_HUB_OFFLINE', '');
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  await (await programFor(['push'])).parseAsync(['push', join(folder, 'model'), 'me/it', ...args], { from: 'user' });
  return lines.join('\n');
}

it('a dry run says what would go where, and asks the Hub nothing', async () => {
  const said = await push('--private', '--dry-run');
  expect(said).toContain('me/it, main; private if it is new');
  expect(said).toContain('Base     org/base\nLicence  mit\nFiles    README.md, config.json, model.safetensors;');
  expect(said).toContain('nothing was sent');
  expect(hub?.requests).toEqual([]);
});

it('a model folder is pushed to a branch of a new private repository', async () => {
  const said = await push('--private', '--revision', 'second');
  expect(said).toContain(`Pushed   ${hub?.url}/me/it, commit ${'c'.repeat(40)}`);
  const made = hub?.repositories.get('me/it');
  expect(made?.visibility).toBe('private');
  expect([...(made?.branches.get('second')?.keys() ?? [])].sort()).toEqual([
    'README.md',
    'config.json',
    'model.safetensors',
  ]);
});

it('a run that has no model of the iteration is told, and so is a name that is none', async () => {
  await expect(push('--iteration', '3')).rejects.toThrow('Cannot open run');
  const wrong = (await programFor(['push'])).parseAsync(['push', join(folder, 'model'), 'it'], { from: 'user' });
  await expect(wrong).rejects.toThrow('give owner/name');
});
