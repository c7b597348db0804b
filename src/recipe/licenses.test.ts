import { describe, expect, it } from 'vitest';
import { checkLicenses, licenseLine, licensesOf } from './licenses.ts';
import { parseRecipe, parseSftRecipe } from './load.ts';

const two = { train: ['a.jsonl', 'b.jsonl'], license: null, allowLicenses: null };

describe('licences of the data', () => {
  it('are one for all files, one each, or unknown', () => {
    expect(licensesOf({ ...two, license: 'mit' })).toEqual(['mit', 'mit']);
    expect(licensesOf({ ...two, license: ['mit', 'cc-by-4.0'] })).toEqual(['mit', 'cc-by-4.0']);
    expect(licensesOf(two)).toEqual(['unknown', 'unknown']);
    expect(licenseLine({ ...two, license: ['mit', 'unknown'] }, (file) => file)).toBe(
      'Licences: a.jsonl mit, b.jsonl unknown',
    );
  });

  it('that are not allowed are refused, and so is what nobody said', () => {
    const allowLicenses = ['MIT'];
    expect(checkLicenses({ ...two, license: 'mit', allowLicenses }, ['data'])).toEqual([]);
    const [other] = checkLicenses({ ...two, license: ['mit', 'cc-by-nc-4.0'], allowLicenses }, ['data']);
    expect(other).toEqual({
      path: ['data', 'allowLicenses'],
      problem: 'allows MIT, and the licence is cc-by-nc-4.0: leave b.jsonl out',
    });
    expect(checkLicenses({ ...two, allowLicenses }, ['data'])).toHaveLength(2);
  });

  it('must be as many as the files', () => {
    expect(checkLicenses({ ...two, license: ['mit'] }, ['data'])).toMatchObject([
      { problem: expect.stringContaining('1 licences for 2 files') as string },
    ]);
  });

  it('are checked in every recipe, also in a section sft', () => {
    const data = { train: 'a.jsonl', license: 'mit', allowLicenses: ['apache-2.0'] };
    const sft = { data, training: { learningRate: 1 } };
    expect(() => parseSftRecipe({ name: 'a', model: 'm', ...sft })).toThrow(/data.allowLicenses allows apache-2.0/);
    const recipe = {
      name: 'a',
      model: 'm',
      data: { train: 'b.jsonl' },
      ranker: { kind: 'function', module: 'r.ts' },
      objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
      training: { learningRate: 1 },
    };
    expect(() => parseRecipe({ ...recipe, sft })).toThrow(/sft.data.allowLicenses allows apache-2.0/);
    expect(() => parseRecipe({ ...recipe, data })).toThrow(/data.allowLicenses allows apache-2.0/);
  });
});
