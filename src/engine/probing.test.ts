import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { writeFiles } from './places.testing.ts';
import { probeAddon, probeLibrary, probePackage, readProbe } from './probing.ts';

test('readProbe() reads the last line, whatever libraries printed before it', () => {
  const stdout = 'warning of a library\n{"loaded":true,"version":"2.15.0"}\n';
  expect(readProbe({ status: 0, signal: null, stdout, stderr: '' })).toEqual({ kind: 'loads', version: '2.15.0' });
});

test('readProbe() says that an illegal instruction means another CPU', () => {
  const probe = readProbe({ status: null, signal: 'SIGILL', stdout: '', stderr: '' });
  expect(probe).toMatchObject({ kind: 'fails', message: expect.stringContaining('another CPU') });
});

test('readProbe() names the signal and the error of a process that died', () => {
  const probe = readProbe({ status: null, signal: 'SIGSEGV', stdout: '', stderr: 'x\nfatal error: bad page\n' });
  expect(probe).toEqual({ kind: 'fails', message: 'the process that loaded it died (SIGSEGV): fatal error: bad page' });
});

test('probeLibrary() gives the words of the loader', () => {
  const path = join(writeFiles(temporaryFolder(), { 'libtorch_cpu.so': 'not a library at all' }), 'libtorch_cpu.so');
  expect(probeLibrary(path)).toMatchObject({
    kind: 'fails',
    message: expect.stringMatching(/file too short|invalid ELF/),
  });
});

test('probeAddon() of a file that is not there fails without ending this process', () => {
  expect(probeAddon('/nowhere/selm.node')).toMatchObject({
    kind: 'fails',
    message: expect.stringContaining('/nowhere'),
  });
});

test('probePackage() tells a package that loads from one that does not', () => {
  expect(probePackage('yaml')).toMatchObject({ kind: 'loads' });
  expect(probePackage('no-such-package-here')).toMatchObject({
    kind: 'fails',
    message: expect.stringContaining('no-such-package-here'),
  });
});
