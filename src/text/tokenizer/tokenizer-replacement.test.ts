/** @file The tokenizer's process gives its memory back in time: another takes its place, and the ids stay the same. */
import { readdirSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { syncWorker } from './sync-worker.ts';

/** Processes that this one started, by Linux's /proc. */
function children(): string[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
}

it.skipIf(platform() !== 'linux')('a worn tokenizer process is replaced between two calls (skipped off Linux)', () => {
  const worker = syncWorker(new URL('./tokenizer-worker.mjs', import.meta.url), {
    workerData: {
      file: join(packageRoot, 'assets', 'stories260K', 'tokenizer.json'),
      memoryKilobytes: 8 * 1024 * 1024,
      limitMs: 60_000,
      charactersAProcess: 40,
    },
  });
  const encode = (): unknown =>
    worker.call({ kind: 'encode', texts: ['Once upon a time there was'], addSpecialTokens: false });
  const first = encode();
  expect(first).toMatchObject({ kind: 'value' });
  const before = children();
  expect(encode()).toEqual(first);
  expect(children()).toEqual(before); // 26 characters before the second call: not worn yet
  expect(encode()).toEqual(first);
  expect(children().filter((pid) => !before.includes(pid))).toHaveLength(1);
});
