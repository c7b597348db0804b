/**
 * @file Models of every family, trained for a step and saved, load in transformers and give the same logits there. Needs
 * the Python environment of scripts/fixtures/README.md: `$SELM_PEERS_PYTHON`, or ~/.cache/selm/peers. Run: `npm run test:peers`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import { writeSafetensors } from '../../src/files/safetensors-write.ts';
import { CHECKPOINTS, savedLogits, trainAndSave } from '../support/saved-model.ts';

const python = process.env.SELM_PEERS_PYTHON ?? join(homedir(), '.cache', 'selm', 'peers', 'bin', 'python');
const names = readdirSync(CHECKPOINTS);
const folder = mkdtempSync(join(tmpdir(), 'selm-saved-'));
let found: Record<string, { difference: number; missing: string[]; unexpected: string[] }> = {};

/** Writes what this package computes with a saved model beside it, for the script to compare. */
function writeLogits(directory: string, ids: Int32Array): void {
  const logits = savedLogits(directory, ids);
  const bytes = (values: Float32Array | Int32Array): Uint8Array => new Uint8Array(values.buffer.slice(0));
  writeSafetensors(
    join(directory, 'logits.safetensors'),
    [
      { name: 'ids', dtype: 'I32', shape: [ids.length], bytes: bytes(ids) },
      // The last token is read by nobody; transformers decides by all of them which factors longrope takes.
      { name: 'logits', dtype: 'F32', shape: [ids.length - 1, logits.length / (ids.length - 1)], bytes: bytes(logits) },
    ],
    [],
  );
}

beforeAll(() => {
  names.forEach((name, i) => {
    const directory = join(folder, name);
    writeLogits(directory, trainAndSave(name, directory, i % 2 === 0 ? 'float32' : 'bfloat16').ids);
  });
  const script = join(packageRoot, 'scripts', 'fixtures', 'check_saved_models.py');
  const output = execFileSync(python, [script, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  found = JSON.parse(output.trim().split('\n').at(-1) ?? '') as typeof found;
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(names)('%s loads in transformers with the same logits', (name) => {
  expect(found[name]).toMatchObject({ missing: [], unexpected: [] });
  expect(found[name]?.difference).toBeLessThan(1e-4);
});
