/** @file Finds the fields in which two values differ. */

/** A value that differs: `training.learningRate`, what was, what is. */
export interface Difference {
  field: string;
  old: unknown;
  new: unknown;
}

/** Fields in which two values differ, by their path; lists are compared as wholes. */
export function differences(before: unknown, after: unknown, prefix = ''): Difference[] {
  if (!isRecord(before) || !isRecord(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ field: prefix, old: before, new: after }];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) => differences(before[key], after[key], prefix === '' ? key : `${prefix}.${key}`));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
