/** @file Where builds for finding mistakes lie, and what a process that loads one needs. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { engineDirectory } from '../torch/native.ts';
import { variantEnvironment, variantFolder } from './variants.ts';

test('each variant has a folder of its own, so that none replaces the engine', () => {
  expect(variantFolder('release')).toBe(engineDirectory);
  expect(variantFolder('debug')).toBe(join(packageRoot, 'build', 'debug'));
  expect(variantFolder('sanitized')).toBe(join(packageRoot, 'build', 'sanitized'));
});

test('a debug build needs nothing but its folder', () => {
  expect(variantEnvironment('debug', { compiler: 'g++' })).toEqual({ SELM_ENGINE: variantFolder('debug') });
});

test("a sanitized build loads the compiler's sanitizers first, and looks for no leaks of Node and LibTorch", () => {
  const environment = variantEnvironment('sanitized', { compiler: 'g++', output: '/elsewhere' });
  expect(environment.SELM_ENGINE).toBe('/elsewhere');
  expect(environment.LD_PRELOAD).toMatch(/^\S*libasan\.so \S*libubsan\.so \S*libstdc\+\+\.so\.6$/);
  expect(environment.ASAN_OPTIONS).toMatch(/^detect_leaks=0:/);
});
