import { join } from 'node:path';
import { expect, test } from 'vitest';
import { selmCommand, shorterPath } from './command-line.ts';

test('selmCommand() can be pasted into a shell', () => {
  const command = selmCommand(['train', "it's here.yaml"], { launcher: '/opt/x/bin/selm' });
  expect(command).toContain("train 'it'\\''s here.yaml'");
});

test('selmCommand() names the program from where it is called, and as it is where it has no path', () => {
  const launcher = join(process.cwd(), 'bin', 'selm');
  expect(selmCommand(['studio'], { launcher })).toBe('bin/selm studio');
  expect(selmCommand(['studio'], { launcher, directory: '/opt' })).toBe(`${launcher} studio`);
  expect(selmCommand(['studio'], { launcher: 'selm', directory: '/opt' })).toBe('selm studio');
});

test('shorterPath() leaves a path as it is where the way there is no shorter', () => {
  expect(shorterPath(join(process.cwd(), 'runs'))).toBe('runs');
  expect(shorterPath(process.cwd())).toBe('.');
  expect(shorterPath('/far')).toBe('/far');
});
