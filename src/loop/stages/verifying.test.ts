/** @file A checkpoint's files checked by several ranks: each file once, and what one rank finds broken is rank 0's error. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { commitDirectory } from '../../files/atomic.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { teamOf } from '../../ranks/team.testing.ts';
import { partOf, type Team } from '../../ranks/team.ts';
import { verifyTogether } from './verifying.ts';

const names = [
  'moments-1-of-3',
  'moments-2-of-3',
  'moments-3-of-3',
  'weights-1-of-3',
  'weights-2-of-3',
  'weights-3-of-3',
];

async function checkpoint(): Promise<string> {
  const path = join(temporaryFolder(), 'checkpoint-1');
  await commitDirectory(
    path,
    (folder) => {
      for (const name of names) writeFileSync(join(folder, name), name);
    },
    { details: { plan: 'p' } },
  );
  return path;
}

it('every rank checks what it wrote, and each file is checked once', async () => {
  const team = teamOf(3);
  const parts: string[][] = [];
  const watched: Team = {
    ...team,
    share: (work, setting, items, signal) => {
      for (const rank of [0, 1, 2])
        parts.push(partOf(items as readonly [string][], { rank, size: 3 }).map(([name]) => name));
      return team.share(work, setting, items, signal);
    },
  };
  expect(await verifyTogether(await checkpoint(), { team: watched, signal: undefined })).toMatchObject({
    details: { plan: 'p' },
  });
  expect(parts).toEqual([1, 2, 3].map((rank) => [`moments-${rank}-of-3`, `weights-${rank}-of-3`]));
});

it.each(names)('a broken %s is found by whichever rank it falls to', async (name) => {
  const path = await checkpoint();
  appendFileSync(join(path, name), 'more');
  await expect(verifyTogether(path, { team: teamOf(3), signal: undefined })).rejects.toMatchObject({
    code: 'DIRECTORY_INCOMPLETE',
    message: expect.stringContaining(name),
  });
});
