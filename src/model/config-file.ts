/** @file config.json of a model directory as a value, and the errors that name its fields. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { ModelError, shownValue } from '../errors.ts';
import { checkModelFolder } from '../files/model-folder.ts';

/** `directory`/config.json, parsed and as text. ModelError MODEL_FOLDER where there is no model, MODEL_CONFIG where it is no JSON. */
export function readConfigFile(directory: string): { path: string; value: unknown; text: string } {
  const path = join(directory, 'config.json');
  checkModelFolder(directory);
  try {
    const text = readFileSync(path, 'utf8');
    return { path, value: JSON.parse(text), text };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(
      'MODEL_CONFIG',
      `Cannot read ${path}: ${reason}: a model is a directory in Hugging Face layout`,
      { cause, details: { file: path } },
    );
  }
}

/** The fields of a configuration by a schema. ModelError MODEL_CONFIG names the first field that is wrong. */
export function parseConfig<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw new ModelError('MODEL_CONFIG', `Cannot read ${path}: field ${field}: ${issue?.message}`, {
    details: { file: path, field },
  });
}

/** Refuses a model for the field that is the reason. */
export function refuseField(path: string, refusal: { field: string; value: unknown; allowed: string }): never {
  const { field, value, allowed } = refusal;
  throw new ModelError(
    'MODEL_UNSUPPORTED',
    `Cannot run the model of ${path}: ${field} is ${shownValue(value)}, supported is ${allowed}`,
    { details: { file: path, field } },
  );
}

/** A text field of a value that may be anything: `model_type` before it is known which schema applies. */
export function textField(value: unknown, field: string): string | null {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined;
  return typeof found === 'string' ? found : null;
}
