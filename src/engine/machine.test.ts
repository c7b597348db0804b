import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { findProgram, findTool, freeBytes, installLine, requireTool, run } from './machine.ts';
import { bareMachine, fakePrograms, writeFiles } from './places.testing.ts';

test('findTool() takes the first program on PATH that does the job', () => {
  const folder = fakePrograms(temporaryFolder(), { 'clang++': '', make: '' });
  const machine = bareMachine({ PATH: `/nowhere:${folder}` });
  expect(findTool('compiler', machine)).toBe(join(folder, 'clang++'));
  expect(findTool('make', machine)).toBe(join(folder, 'make'));
  expect(findTool('cmake', machine)).toBe(null);
});

test('findTool() honours CXX, with options after it, and does not look further when it is wrong', () => {
  const folder = fakePrograms(temporaryFolder(), { 'g++': '', mycc: '' });
  expect(findTool('compiler', bareMachine({ PATH: folder, CXX: 'mycc -m64' }))).toBe(join(folder, 'mycc'));
  expect(findTool('compiler', bareMachine({ PATH: folder, CXX: 'absent' }))).toBe(null);
});

test('findTool() prefers the Python of the active virtual environment', () => {
  const root = temporaryFolder();
  const path = fakePrograms(join(root, 'path'), { python3: '' });
  fakePrograms(join(root, 'venv', 'bin'), { python3: '' });
  const machine = bareMachine({ PATH: path, VIRTUAL_ENV: join(root, 'venv') });
  expect(findTool('python3', machine)).toBe(join(root, 'venv', 'bin', 'python3'));
});

test('findProgram() passes over files that cannot be run', () => {
  const folder = writeFiles(temporaryFolder(), { cmake: 'text' });
  expect(findProgram(['cmake'], bareMachine({ PATH: folder }))).toBe(null);
});

test('requireTool() names what is missing and the line of the package manager that is there', () => {
  const folder = fakePrograms(temporaryFolder(), { dnf: '' });
  const machine = bareMachine({ PATH: folder });
  expect(() => requireTool('compiler', 'build the engine', machine)).toThrow(
    expect.objectContaining({
      code: 'TOOL_MISSING',
      message: 'Cannot build the engine: a C++20 compiler (g++ or clang++) not found: run `sudo dnf install gcc-c++`',
    }),
  );
});

test('installLine() names all package managers when none is on PATH', () => {
  expect(installLine('pip', bareMachine({ PATH: '' }))).toBe(
    'run `sudo apt-get install python3-pip` or `sudo dnf install python3-pip` or `brew install python`',
  );
});

test('run() of a program that is not there gives status null and the reason', () => {
  const finished = run('/nowhere/cmake', []);
  expect(finished.status).toBe(null);
  expect(finished.stderr).toContain('ENOENT');
});

test('freeBytes() asks the nearest folder that exists', () => {
  expect(freeBytes(join(temporaryFolder(), 'not', 'there'))).toBeGreaterThan(0);
});
