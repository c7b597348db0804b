import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { modelFingerprint } from './fingerprint.ts';
import { sampledFingerprint } from './sampled-fingerprint.ts';

function saveWeights(folder: string, bytes: Uint8Array): void {
  writeSafetensors(join(folder, 'model.safetensors'), [{ name: 'w', dtype: 'U8', shape: [bytes.length], bytes }]);
}

test('modelFingerprint() is the same for a copy and for an added read-me, and differs with one changed byte', () => {
  const folder = temporaryFolder();
  const bytes = new Uint8Array(1_000_000).map((_, i) => i % 7);
  saveWeights(folder, bytes);
  writeFileSync(join(folder, 'config.json'), '{}');
  const fingerprint = modelFingerprint(folder);
  const copy = join(temporaryFolder(), 'copy');
  cpSync(folder, copy, { recursive: true });
  writeFileSync(join(copy, 'README.md'), 'x');
  mkdirSync(join(copy, 'folder.json'));
  expect(modelFingerprint(copy)).toBe(fingerprint);
  for (const at of [0, 123_456, 999_999]) {
    saveWeights(copy, bytes.with(at, 9));
    expect(modelFingerprint(copy), `changed at ${at}`).not.toBe(fingerprint);
  }
  saveWeights(copy, bytes);
  writeFileSync(join(copy, 'tokenizer.json'), '{}');
  expect(modelFingerprint(copy)).not.toBe(fingerprint);
});

test('sampledFingerprint() is what runs of earlier versions kept, which a layer may change without', () => {
  const folder = temporaryFolder();
  const bytes = new Uint8Array(1_000_000);
  saveWeights(folder, bytes);
  writeFileSync(join(folder, 'config.json'), '{}');
  const fingerprint = sampledFingerprint(folder);
  saveWeights(folder, bytes.with(10_000, 9)); // between two of its blocks of 4,096 bytes, one every 15,625
  expect(sampledFingerprint(folder)).toBe(fingerprint);
});
