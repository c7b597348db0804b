/** @file The keys of a schema with their paths: what the loader suggests from, and what a test holds frozen. */
import { z } from 'zod';

/** Every key with its path, in order: `training.learningRate`. */
export function keysOfSchema(schema: z.ZodType): string[] {
  return [...new Set(keysBelow(z.toJSONSchema(schema, { io: 'input' }), ''))];
}

function keysBelow(schema: unknown, prefix: string): string[] {
  const { properties, anyOf, oneOf: variants } = asRecord(schema);
  const branches = [anyOf, variants].flatMap((list) => (Array.isArray(list) ? list : []));
  const own = Object.entries(asRecord(properties)).flatMap(([key, value]) => [
    prefix + key,
    ...keysBelow(value, `${prefix}${key}.`),
  ]);
  return [...own, ...branches.flatMap((branch) => keysBelow(branch, prefix))];
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
