/**
 * @file 1,000 damaged safetensors files against the verdicts of the reference library, which
 * scripts/fixtures/safetensors_verdicts.py asked.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ModelError } from '../../src/errors.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { digestOf, VERDICT_COUNT, verdictFiles } from './verdicts.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-verdicts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Why this reader refuses what the library takes. */
const STRICTER = new Map([
  ['a key that comes twice, of which the library takes the last', /comes twice/],
  ['types below one byte, which nothing here can use', /dtype is "F[46]/],
  ['white space before the header, against the format', /does not begin with "\{"/],
  ['sizes beyond 2^53 of a tensor without elements', /allowed are whole numbers from 0 to 2\^53/],
]);

it('readSafetensorsHeader() accepts nothing that the library refuses, and refuses more for four reasons only', () => {
  const path = join(packageRoot, 'test', 'fixtures', 'safetensors', 'verdicts.json');
  const fixture = JSON.parse(readFileSync(path, 'utf8')) as { files: string; verdicts: string };
  const files = verdictFiles();
  expect(digestOf(files), 'the files changed: ask again (scripts/fixtures/safetensors_verdicts.py)').toBe(
    fixture.files,
  );
  expect(fixture.verdicts).toHaveLength(VERDICT_COUNT);
  const counts = new Map<string, number>();
  const add = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  for (const [index, bytes] of files.entries()) {
    const file = join(folder, 'model.safetensors');
    writeFileSync(file, bytes);
    let refusal: string | null = null;
    try {
      readSafetensorsHeader(file);
    } catch (error) {
      expect(error, `file ${index}`).toBeInstanceOf(ModelError);
      refusal = String(error);
    }
    const theirs = fixture.verdicts[index] === 'A';
    if (theirs === (refusal === null)) {
      add(theirs ? 'both accept' : 'both refuse');
      continue;
    }
    expect(refusal, `file ${index} is accepted, the library refuses it`).not.toBeNull();
    const reason = [...STRICTER].find(([, pattern]) => pattern.test(refusal ?? ''))?.[0];
    expect(reason, `file ${index}: ${refusal}`).toBeDefined();
    add(reason ?? '');
  }
  expect(counts.get('both accept')).toBeGreaterThan(200);
  expect([...STRICTER.keys()].every((reason) => counts.has(reason))).toBe(true);
});
