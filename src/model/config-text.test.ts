/** @file Numbers of a saved config.json stay what they were for Python: whole, or floating-point. */
import { expect, it } from 'vitest';
import { configText } from './config-text.ts';

const original = `{
  "hidden_size": 64, "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "note": "cap: \\"x\\": 2.0",
  "rope_scaling": {"factor": 8.0, "short_factor": [1.0, 1.25], "sections": [2, 4], "original": 4096},
  "eos_token_id": [1, 106], "sliding_window": null
}`;

it('writes a point where the original has one, in lists and inner objects too', () => {
  const text = configText(JSON.parse(original) as Record<string, unknown>, original);
  expect(text).toContain('"final_logit_softcapping": 30.0,');
  expect(text).toContain('"factor": 8.0,');
  expect(text.replace(/\s/g, '')).toContain('"short_factor":[1.0,1.25]');
});

it('leaves whole numbers and texts as they are, and the values too', () => {
  const text = configText(JSON.parse(original) as Record<string, unknown>, original);
  expect(text).toContain('"hidden_size": 64,');
  expect(text.replace(/\s/g, '')).toContain('"eos_token_id":[1,106]');
  expect(text.replace(/\s/g, '')).toContain('"sections":[2,4]');
  expect(JSON.parse(text)).toEqual(JSON.parse(original));
});

it('writes new fields as they come', () => {
  expect(configText({ dtype: 'float32', heads: 4 }, '')).toBe('{\n  "dtype": "float32",\n  "heads": 4\n}\n');
});
