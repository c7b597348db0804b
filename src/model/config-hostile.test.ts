/** @file A config.json whose numbers are out of this world is refused with the field, before anything counts to them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { normaliseConfig } from './read-config.ts';

const stories = readFileSync(join(packageRoot, 'assets', 'stories260K', 'config.json'), 'utf8');

const SIZES = [
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'vocab_size',
  'max_position_embeddings',
];
const NUMBERS = ['-1', '0', '0.5', '1e308', '1e999', '9007199254740993', '4294967296', '"12"', '[]', '{}', 'true'];

test.each(SIZES)('normaliseConfig() refuses a hostile %s by its name', (field) => {
  for (const number of NUMBERS) {
    const text = stories.replace(new RegExp(`("${field}": )[^,\n]+`), `$1${number}`);
    expect(text, field).not.toBe(stories);
    expect(() => normaliseConfig(JSON.parse(text), 'config.json'), `${field}: ${number}`).toThrow(
      expect.objectContaining({ name: 'ModelError', message: expect.stringContaining(field) }),
    );
  }
});

test.each([
  ['rms_norm_eps', ['-1', '0', '1e999', '"x"']],
  ['rope_theta', ['-1', '0', '1e999', '"x"']],
  ['rope_scaling', ['1', '"x"', '{"rope_type":"llama3","factor":0}', '{"rope_type":"linear","factor":1e999}']],
])('normaliseConfig() refuses a hostile %s by its name', (field, values) => {
  for (const value of values) {
    const raw: unknown = { ...(JSON.parse(stories) as object), [field]: JSON.parse(value) };
    expect(() => normaliseConfig(raw, 'config.json'), `${field}: ${value}`).toThrow(
      expect.objectContaining({ name: 'ModelError', message: expect.stringContaining(field) }),
    );
  }
});

test('a message about a hostile value is short', () => {
  let nested: unknown = 1;
  for (let depth = 0; depth < 20_000; depth++) nested = [nested];
  for (const value of [nested, 'x'.repeat(1_000_000), { key: 'y'.repeat(1_000_000) }]) {
    const raw: unknown = { ...(JSON.parse(stories) as object), quantization_config: value };
    expect(() => normaliseConfig(raw, 'config.json', stories)).toThrow(
      /^Cannot run the model of config\.json: .{0,400}$/,
    );
  }
});
