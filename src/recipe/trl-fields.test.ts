/** @file All fields of TRL 1.16 and of accelerate, as their packages name them (scripts/fixtures/trl_fields.py), through the import. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RecipeError } from '../errors.ts';
import { type ImportedRecipe, importTrl, TRAINERS, type Trainer } from './import-trl.ts';

type Defaults = Record<string, unknown>;
const fixture = JSON.parse(readFileSync(new URL('../../test/fixtures/trl/fields.json', import.meta.url), 'utf8')) as {
  trainers: Record<Trainer, Defaults>;
  accelerate: Defaults;
};
const MINIMAL = { model_name_or_path: 'owner/model', dataset_name: 'owner/rows' };

function imported(config: Defaults, trainer: Trainer, accelerate: Defaults = {}): ImportedRecipe {
  return importTrl({ ...MINIMAL, ...config }, { trainer, accelerate, exists: () => false });
}

/** A value that is not the default. */
function another(value: unknown): unknown {
  return typeof value === 'boolean' ? !value : typeof value === 'number' ? value + 1 : 'another';
}

/** `setting`, `needless`, `listed`, `refused`, or null where a field is skipped or not known. */
function placeOf(field: string, work: () => ImportedRecipe, plain: ImportedRecipe): string | null {
  try {
    const { recipe, needless, unmatched } = work();
    const listed = unmatched.find((each) => each.field === field);
    if (listed !== undefined) return listed.text.includes('not known here') ? null : 'listed';
    if (needless.includes(field)) return 'needless';
    return JSON.stringify(recipe) === JSON.stringify(plain.recipe) ? null : 'setting';
  } catch (error) {
    if (error instanceof RecipeError && error.details.field === field) return 'refused';
    throw error;
  }
}

describe.each(TRAINERS)("TRL's fields of %s", (trainer) => {
  const defaults = fixture.trainers[trainer];

  it('each has a place: a setting, none needed, listed with what to do, or refused', () => {
    const plain = imported({}, trainer);
    const lost = Object.entries(defaults).filter(
      ([field, value]) => placeOf(field, () => imported({ [field]: another(value) }, trainer), plain) === null,
    );
    expect(lost).toEqual([]);
  });

  it('a configuration that says all defaults becomes the recipe of one that says none', () => {
    // TRL keeps a checkpoint every 500 steps unless it is told otherwise, the recipe every 50; both only matter to who goes on.
    const said = Object.entries(defaults).filter(([field, value]) => value !== null && field !== 'save_steps');
    const all = imported(Object.fromEntries(said), trainer);
    const none = imported({}, trainer);
    expect(all.recipe).toEqual(none.recipe);
    const own = all.unmatched.filter(({ field }) => none.unmatched.every((each) => each.field !== field));
    // Where DPO cuts is a true difference, which is listed where it is said.
    expect(own.map(({ field }) => field)).toEqual(trainer === 'dpo' ? ['truncation_mode'] : []);
  });
});

it("accelerate's fields: each is a setting, needless or listed", () => {
  const values: Defaults = {
    distributed_type: 'DEEPSPEED',
    num_processes: 2,
    num_machines: 2,
    mixed_precision: 'fp16',
    deepspeed_config: { zero_stage: 1 },
  };
  const unknown = Object.keys(fixture.accelerate).filter((field) => {
    const { unmatched } = imported({}, 'dpo', { [field]: values[field] ?? 'another' });
    return unmatched.some(({ text }) => text.includes('not known here'));
  });
  expect(unknown).toEqual([]);
  expect(imported({}, 'dpo', { num_proceses: 2 }).unmatched).toEqual([
    { field: 'num_proceses', value: 2, text: 'it is not known here: did you mean num_processes' },
  ]);
});
