import { existsSync, mkdirSync, readdirSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { replaceLink } from './link.ts';
import { temporaryFolder } from './temporary.testing.ts';

/** A folder with two models. */
function folder(): string {
  const path = join(temporaryFolder(), 'run');
  for (const name of ['a', 'b']) {
    mkdirSync(join(path, name), { recursive: true });
    writeFileSync(join(path, name, `${name}.txt`), name);
  }
  return path;
}

it('a link is replaced by another, leaves nothing beside it, and holds where the folder is moved to', () => {
  const path = folder();
  replaceLink(join(path, 'best'), 'a');
  replaceLink(join(path, 'best'), 'b');
  expect(readlinkSync(join(path, 'best'))).toBe('b');
  expect(readdirSync(path).sort()).toEqual(['a', 'b', 'best']);
  renameSync(path, `${path}-moved`);
  expect(existsSync(join(`${path}-moved`, 'best', 'b.txt'))).toBe(true);
});

it('a folder of that name is never replaced', () => {
  const path = folder();
  mkdirSync(join(path, 'best'));
  expect(() => replaceLink(join(path, 'best'), 'a')).toThrow(expect.objectContaining({ code: 'LINK_TAKEN' }));
});
