/** @file The keys of a schema with their paths, and what the schema says of a field beside its type. */
import { z } from 'zod';
import type { Change } from './fields.ts';

/** What a schema says of a field. A section, which has fields of its own, says it only where the whole of it may be null. */
export interface Field {
  change: Change | null;
  /** Whether its value is a path, and what counts is the content that lies there. */
  comparedByContent: boolean;
  /** Absent where the field must be set. */
  default?: unknown;
  isSection: boolean;
}

/** Every key with its path, in order: `training.learningRate`. */
export function keysOfSchema(schema: z.ZodType): string[] {
  return [...new Set(keysBelow(jsonSchema(schema), ''))];
}

/**
 * The field at a path (`ranker.model`) of a schema, or null where it has none. Where a section comes in several kinds, the
 * kind of `value`, a recipe, decides; a field that this kind has not is looked for in the others.
 */
export function fieldAt(schema: z.ZodType, path: string, value?: unknown): Field | null {
  let node: unknown = jsonSchema(schema);
  let here = value;
  for (const key of path.split('.')) {
    const kind = asRecord(here).kind;
    const kinds = branchesOf(node).filter((branch) => Object.hasOwn(asRecord(branch.properties), key));
    const own = kinds.find((branch) => kind !== undefined && asRecord(asRecord(branch.properties).kind).const === kind);
    const branch = own ?? kinds[0];
    if (branch === undefined) return null;
    node = asRecord(branch.properties)[key];
    here = asRecord(here)[key];
  }
  const { change = null, compared, ...rest } = asRecord(node) as { change?: Change; compared?: unknown };
  return {
    change,
    comparedByContent: compared !== undefined,
    ...('default' in rest ? { default: rest.default } : {}),
    isSection: branchesOf(node).some((branch) => 'properties' in branch),
  };
}

/** JSON Schema (2020-12) of what is written, for editors, which have no use for what a run does when a setting changes. */
export function editorSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.change;
      delete jsonSchema.compared;
    },
  });
}

const known = new WeakMap<z.ZodType, unknown>();

function jsonSchema(schema: z.ZodType): unknown {
  const found = known.get(schema) ?? z.toJSONSchema(schema, { io: 'input' });
  known.set(schema, found);
  return found;
}

function keysBelow(schema: unknown, prefix: string): string[] {
  return branchesOf(schema).flatMap(({ properties }) =>
    Object.entries(asRecord(properties)).flatMap(([key, value]) => [
      prefix + key,
      ...keysBelow(value, `${prefix}${key}.`),
    ]),
  );
}

/** A schema and, below it, the alternatives that it is made of. */
function branchesOf(schema: unknown): Record<string, unknown>[] {
  const own = asRecord(schema);
  const alternatives = [own.anyOf, own.oneOf].flatMap((list) => (Array.isArray(list) ? list : []));
  return [own, ...alternatives.flatMap(branchesOf)];
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
