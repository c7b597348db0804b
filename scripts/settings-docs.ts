/**
 * @file Writes docs/settings.md, every setting of a recipe, from the schema that the loader uses. Run: `npm run docs`; a
 * test says when the page is stale.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CHANGES, type Change } from '../src/recipe/fields.ts';
import { recipeSchema } from '../src/recipe/schema.ts';
import { sftRecipeSchema } from '../src/recipe/sft.ts';
import { sweepSchema } from '../src/recipe/sweep.ts';

const PAGE = fileURLToPath(new URL('../docs/settings.md', import.meta.url));

/** What each class of change means, for the head of the page. */
const MEANING: Record<Change, string> = {
  free: 'nothing that comes out is different',
  warn: 'the run goes on and warns that what is still to come may differ in its last bits',
  extend: 'it may grow; what is done stays',
  measure: 'every model is measured again',
  train: 'the first unfinished iteration is trained again, with `--accept-changes`',
  pair: 'the first unfinished iteration is done again from its pairs on, with `--accept-changes`',
  rank: 'the first unfinished iteration is done again from its ranking on, with `--accept-changes`',
  select: 'the first unfinished iteration is done again from what is asked on, with `--accept-changes`',
  sample: 'the first unfinished iteration is done again from its sampling on, with `--accept-changes`',
  never: 'another run: use another name',
};

/** The page as it should be. */
export function settingsPage(): string {
  const pathOf: PathOf = new Map();
  const changes = CHANGES.map((change) => `| ${change} | ${MEANING[change]} |`);
  return `${[
    '# Settings',
    'Every setting of a recipe, made from the schema by `npm run docs`. The column *default* says what counts where a setting is left out. Unknown keys are',
    'refused with the nearest right one. On the command line: `--set training.learningRate=1e-6`.',
    '',
    'The column *in a run* says what happens when a setting is changed on a run in progress (docs/resuming.md):',
    '',
    '| in a run | what happens |',
    '| --- | --- |',
    ...changes,
    '',
    '## A recipe for `selm train`',
    '',
    ...sectionsOf(recipeSchema, { title: null, prefix: '', text: '' }, pathOf),
    '## A recipe for `selm sft`',
    '',
    'The same settings stand in the section `sft` of a `selm train` recipe, where the fine-tuning comes first.',
    '',
    ...sectionsOf(sftRecipeSchema, { title: null, prefix: '', text: '' }, pathOf),
    '## A sweep for `selm sweep`',
    '',
    'Settings of recipes stand in it under their dotted names; what changing one does to the runs is said above. How it works:',
    '[sweeps.md](sweeps.md).',
    '',
    ...sectionsOf(sweepSchema, { title: null, prefix: '', text: '' }, pathOf),
  ]
    .join('\n')
    .trimEnd()}\n`;
}

/** A schema without what surrounds it, and what that said: default, null, description. */
interface Unwrapped {
  inner: z.ZodType;
  defaultValue: unknown;
  hasDefault: boolean;
  isNullable: boolean;
  isOptional: boolean;
  description: string;
  change: Change | null;
}

function unwrap(schema: z.ZodType): Unwrapped {
  const found: Unwrapped = {
    inner: schema,
    defaultValue: undefined,
    hasDefault: false,
    isNullable: false,
    isOptional: false,
    description: '',
    change: null,
  };
  for (;;) {
    const { inner } = found;
    found.description ||= inner.description ?? '';
    found.change ??= inner.meta()?.change ?? null;
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
      if (!found.hasDefault) found.defaultValue = inner.def.defaultValue;
      found.hasDefault = true;
      found.inner = inner.def.innerType as z.ZodType;
    } else if (inner instanceof z.ZodNullable) {
      found.isNullable = true;
      found.inner = inner.def.innerType as z.ZodType;
    } else if (inner instanceof z.ZodOptional) {
      found.isOptional = true;
      found.inner = inner.def.innerType as z.ZodType;
    } else return found;
  }
}

/** Where each section stands on the page: one that comes again is referred to. */
type PathOf = Map<z.ZodType, string>;

/** The sections of a schema: a table of its own fields, then each section below it. */
function sectionsOf(
  schema: z.ZodType,
  place: { title: string | null; prefix: string; text: string },
  pathOf: PathOf,
): string[] {
  const lines = place.title === null ? [] : [`### ${place.title}`, '', ...(place.text === '' ? [] : [place.text, ''])];
  const rows: string[] = [];
  const below: string[] = [];
  for (const [key, field] of Object.entries(shapeOf(schema))) {
    const unwrapped = unwrap(field);
    const { inner, description, isNullable } = unwrapped;
    const path = `${place.prefix}${key}`;
    const nullText = isNullable ? ' May be null.' : '';
    const before = pathOf.get(inner);
    if (before !== undefined) {
      below.push(`### \`${path}\``, '', `${description}. Its settings are those of \`${before}\`.${nullText}`, '');
      continue;
    }
    if (inner instanceof z.ZodObject || inner instanceof z.ZodDiscriminatedUnion) pathOf.set(inner, path);
    if (inner instanceof z.ZodObject) {
      below.push(
        ...sectionsOf(inner, { title: `\`${path}\``, prefix: `${path}.`, text: `${description}.${nullText}` }, pathOf),
      );
    } else if (inner instanceof z.ZodDiscriminatedUnion) {
      below.push(
        `### \`${path}\``,
        '',
        `${description}. One of the following.${nullText}${defaultText(unwrapped)}`,
        '',
      );
      for (const option of inner.def.options as z.ZodType[]) {
        const kind = unwrap(shapeOf(option).kind ?? z.null()).inner;
        const name = kind instanceof z.ZodLiteral ? String([...kind.values][0]) : '';
        below.push(
          ...sectionsOf(option, { title: `\`${path}: { kind: ${name} }\``, prefix: `${path}.`, text: '' }, pathOf),
        );
      }
    } else if (!(inner instanceof z.ZodLiteral)) rows.push(rowOf(path, unwrapped));
  }
  if (rows.length > 0) {
    lines.push('| setting | allowed | default | in a run | |', '| --- | --- | --- | --- | --- |', ...rows, '');
  }
  return [...lines, ...below];
}

function shapeOf(schema: z.ZodType): Record<string, z.ZodType> {
  return schema instanceof z.ZodObject ? (schema.shape as Record<string, z.ZodType>) : {};
}

function rowOf(path: string, setting: Unwrapped): string {
  const { inner, isNullable, description, change } = setting;
  const allowed = `${allowedText(inner)}${isNullable ? ' or null' : ''}`;
  return `| \`${path}\` | ${cell(allowed)} | ${cell(standardText(setting))} | ${change ?? ''} | ${cell(description)} |`;
}

function standardText({ hasDefault, defaultValue, isOptional }: Unwrapped): string {
  if (hasDefault) return `\`${JSON.stringify(defaultValue)}\``;
  return isOptional ? 'may be left out' : 'must be set';
}

/** What the loader says is allowed, when it is given something that is nowhere allowed. */
function allowedText(schema: z.ZodType): string {
  const message = schema.safeParse(Symbol('nowhere allowed')).error?.issues[0]?.message ?? '';
  return message.replace(/ or null$/, '');
}

function defaultText({ hasDefault, defaultValue }: Unwrapped): string {
  return hasDefault ? ` Default: \`${JSON.stringify(defaultValue)}\`.` : '';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked) writeFileSync(join(PAGE), settingsPage());
