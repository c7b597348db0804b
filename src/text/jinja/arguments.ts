/** @file Arguments of functions, methods and filters by their names in Python. */
import { TemplateFault } from './faults.ts';
import { undefinedFault } from './python.ts';
import { type Arguments, textOf, typeName, Undefined, type Value } from './values.ts';

/**
 * Values of the named parameters, undefined where none is given. Throws TemplateFault for too many, unknown or missing ones.
 * @param required how many of them, from the first, must be given
 */
export function bind(
  callee: string,
  { positional, named }: Arguments,
  parameters: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (positional.length > parameters.length) {
    throw new TemplateFault(`${callee}() takes at most ${parameters.length} arguments (${positional.length} given)`);
  }
  for (const name of named.keys()) {
    const at = parameters.indexOf(name);
    if (at < 0) throw new TemplateFault(`${callee}() got an unexpected keyword argument '${name}'`);
    if (at < positional.length) throw new TemplateFault(`${callee}() got multiple values for argument '${name}'`);
  }
  const values = parameters.map((name, i) => (i < positional.length ? positional[i] : named.get(name)));
  const missing = values.slice(0, required).indexOf(undefined);
  if (missing >= 0) throw new TemplateFault(`${callee}() is missing the argument '${parameters[missing]}'`);
  return values;
}

/** The argument as a whole number that JavaScript counts with. Throws TemplateFault. */
export function integer(callee: string, value: Value | undefined): number {
  if (typeof value === 'bigint') return clamp(value);
  if (typeof value === 'boolean') return Number(value);
  throw wrongType(callee, 'an integer', value);
}

/** The argument as an int, or the number given where there is none or None. */
export function integerOr(callee: string, value: Value | undefined, otherwise: number): number {
  return value === undefined || value === null ? otherwise : integer(callee, value);
}

/** The argument as a text. Throws TemplateFault. */
export function text(callee: string, value: Value | undefined): string {
  const found = value === undefined ? undefined : textOf(value);
  if (found !== undefined) return found;
  throw wrongType(callee, 'a string', value);
}

/** The argument as a text, null where there is none or None. */
export function textOrNull(callee: string, value: Value | undefined): string | null {
  return value === undefined || value === null ? null : text(callee, value);
}

function wrongType(callee: string, wanted: string, value: Value | undefined): TemplateFault {
  if (value instanceof Undefined) return undefinedFault(value);
  return new TemplateFault(`${callee}() needs ${wanted}, not ${value === undefined ? 'nothing' : typeName(value)}`);
}

/** Beyond the largest length there is no difference. */
function clamp(value: bigint): number {
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > most ? most : value < -most ? -most : value);
}
