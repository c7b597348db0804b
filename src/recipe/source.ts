/** @file A recipe file as a tree that still knows its lines, so that an error about a field can point at it. */
import { isMap, isScalar, LineCounter, parseDocument, parse as parseYaml } from 'yaml';
import { RecipeError } from '../errors.ts';

/** Where a value was written: a line of the file, or an override of the command line. */
export type Origin = { kind: 'line'; line: number } | { kind: 'override'; text: string };

/** A parsed but unchecked recipe. */
export interface RecipeSource {
  value: unknown;
  /** Where the value at a path, or the key itself when `key`, was written; null for a value that is not there. */
  origin(path: readonly PropertyKey[]): Origin | null;
}

// A recipe is a page or two; the limit keeps a wrong file (a data set) from being read as one.
const MAX_BYTES = 1_000_000;

/** Parses YAML text. Throws RecipeError with the line for broken syntax, double keys and unknown tags. */
export function parseSource(text: string, file: string): RecipeSource {
  if (text.length > MAX_BYTES) {
    throw new RecipeError(
      'RECIPE_TOO_LARGE',
      `Cannot read recipe "${file}": it has more than ${MAX_BYTES} characters: give a recipe`,
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const { line } = lines.linePos(problem.pos[0]);
    throw new RecipeError('RECIPE_SYNTAX', `Cannot read recipe "${file}": line ${line}: ${oneLine(problem.message)}`, {
      cause: problem,
      details: { file, line },
    });
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new RecipeError('RECIPE_SYNTAX', `Cannot read recipe "${file}": ${oneLine(String(error))}`, {
      cause: error,
      details: { file },
    });
  }
  if (document.contents === null) {
    throw new RecipeError(
      'RECIPE_SYNTAX',
      `Cannot read recipe "${file}": it is empty: start with "name:" and "model:"`,
      { details: { file } },
    );
  }
  return {
    value,
    origin(path) {
      const range = rangeOf(document.contents, path);
      return range === null ? null : { kind: 'line', line: lines.linePos(range).line };
    },
  };
}

/** Character at which the key (or list item) at `path` begins, or null. */
function rangeOf(contents: unknown, path: readonly PropertyKey[]): number | null {
  let node: unknown = contents;
  let start: number | null = null;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair === undefined || !isScalar(pair.key)) return null;
      start = pair.key.range?.[0] ?? null;
      node = pair.value;
    } else {
      // Items of a list are short and on their key's line or just below it: the key's line is enough.
      return start;
    }
  }
  return start;
}

/** `--set key.path=value` on top of a source. The value is YAML: numbers, lists, null and texts work as in the file. */
export function override(source: RecipeSource, overrides: readonly string[]): RecipeSource {
  const value: unknown = structuredClone(source.value);
  const origins = new Map<string, string>();
  for (const text of overrides) {
    const equals = text.indexOf('=');
    const keys = text.slice(0, Math.max(0, equals)).split('.');
    if (keys.some((key) => !/^[A-Za-z][A-Za-z0-9_-]*$/.test(key))) {
      throw new RecipeError(
        'OVERRIDE_SYNTAX',
        `Cannot use --set ${JSON.stringify(text)}: allowed is key.path=value, as in training.learningRate=5e-7`,
        {
          details: { override: text },
        },
      );
    }
    const written = setAt(value, keys, parseOverrideValue(text, text.slice(equals + 1)));
    origins.set(keys.slice(0, written).join('.'), text);
    origins.set(keys.join('.'), text);
  }
  return {
    value,
    origin(path) {
      for (let length = path.length; length > 0; length--) {
        const text = origins.get(path.slice(0, length).join('.'));
        if (text !== undefined) return { kind: 'override', text };
      }
      return source.origin(path);
    },
  };
}

function parseOverrideValue(override: string, text: string): unknown {
  try {
    return parseYaml(text, { prettyErrors: false, stringKeys: true });
  } catch (error) {
    throw new RecipeError(
      'OVERRIDE_SYNTAX',
      `Cannot use --set ${JSON.stringify(override)}: the value is not YAML: quote it`,
      {
        cause: error,
        details: { override },
      },
    );
  }
}

/**
 * Sets a value, making sections on the way; what is in the way and no section is replaced, for the schema to judge.
 * Returns the number of keys down to the first thing that it wrote.
 */
function setAt(root: unknown, keys: readonly string[], value: unknown): number {
  let node = root;
  let written = keys.length;
  keys.forEach((key, depth) => {
    if (!isSection(node)) return;
    if (depth === keys.length - 1) {
      node[key] = value;
    } else if (!isSection(node[key])) {
      node[key] = {};
      written = Math.min(written, depth + 1);
    }
    node = node[key];
  });
  return written;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function oneLine(text: string): string {
  return text.split('\n', 1)[0]?.trim() ?? '';
}
