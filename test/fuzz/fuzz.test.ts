/** @file The corpus of the fuzzer is read as it should be, every find stays mended, and the fuzzer can find. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ModelError } from '../../src/errors.ts';
import { inputAt, savedInputs } from './inputs.ts';
import { type Outcome, runInput, TARGETS, type Target } from './targets.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-fuzz-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function run(target: Target, bytes: Uint8Array): Promise<Outcome> {
  const folder = mkdtempSync(join(root, 'input-'));
  target.prepare?.(folder);
  return runInput(target, folder, bytes);
}

describe.each(Object.entries(TARGETS))('%s', (name, target) => {
  const corpus = savedInputs('corpus', name);

  it('accepts its corpus, unchanged', async () => {
    expect(corpus.length).toBeGreaterThan(0);
    for (const { name: file, bytes } of corpus) expect(await run(target, bytes), file).toEqual({ kind: 'accepted' });
  });

  it('reads or refuses every input that was once a find, and the first ones of a seed', async () => {
    const finds = savedInputs('regressions', name);
    for (const { name: file, bytes } of finds) expect((await run(target, bytes)).kind, file).not.toBe('find');
    const count = target.inputsPerProcess === undefined ? 30 : 3;
    for (let index = 0; index < count; index++) {
      const input = inputAt(name, target, { seed: 1, index, corpus: corpus.map(({ bytes }) => bytes) });
      expect((await run(target, input)).kind, `input ${index}`).not.toBe('find');
    }
  });
});

describe('a find is', () => {
  const readAs = (read: Target['read']): Promise<Outcome> =>
    run({ file: 'x', mutate: (input) => input, read }, new Uint8Array(1));

  it('any error that is not of this package', async () => {
    expect(
      await readAs(() => {
        throw new RangeError('stack');
      }),
    ).toMatchObject({ kind: 'find', what: expect.stringContaining('RangeError: stack') });
    expect(
      await readAs(() => {
        throw new ModelError('CODE', 'refused');
      }),
    ).toEqual({ kind: 'refused', code: 'CODE' });
  });

  it('a message that fills a terminal, and too much processor time', async () => {
    expect(
      await readAs(() => {
        throw new ModelError('CODE', 'x'.repeat(100_000));
      }),
    ).toMatchObject({ kind: 'find', what: 'a message of 100000 characters' });
    const busy = (): void => {
      for (const start = performance.now(); performance.now() - start < 100; );
    };
    const slow = await run({ file: 'x', mutate: (input) => input, read: busy, cpuLimitMs: 5 }, new Uint8Array(1));
    expect(slow).toMatchObject({ kind: 'find', what: expect.stringMatching(/^it took \d+ ms/) });
  });
});

it('an input of a seed is the same every time', () => {
  const corpus = savedInputs('corpus', 'config').map(({ bytes }) => bytes);
  const config = TARGETS.config;
  if (config === undefined) throw new Error('No target config');
  const at = (index: number): string =>
    Buffer.from(inputAt('config', config, { seed: 5, index, corpus })).toString('hex');
  expect(at(3)).toBe(at(3));
  expect(new Set(Array.from({ length: 50 }, (_, index) => at(index))).size).toBeGreaterThan(45);
});
