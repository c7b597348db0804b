/** @file The tests of Jinja2 (`is defined` ...) by their names. */
import { bind } from './arguments.ts';
import { TemplateFault } from './faults.ts';
import type { FilterContext } from './filter.ts';
import { isFilter } from './filters.ts';
import type { Meter } from './meter.ts';
import { binary } from './operators.ts';
import { toText } from './printing.ts';
import { contains, equal, isIterable, length, numberOf, order } from './python.ts';
import { textMethod } from './text-methods.ts';
import {
  type Arguments,
  Dict,
  HostObject,
  isList,
  Lazy,
  Markup,
  NO_ARGUMENTS,
  Range,
  Tuple,
  textOf,
  Undefined,
  type Value,
} from './values.ts';

type Test = (context: FilterContext, value: Value, given: Arguments) => boolean;

/** A test without arguments. */
const simple =
  (name: string, holds: (value: Value) => boolean): Test =>
  (_, value, given) => {
    bind(name, given, []);
    return holds(value);
  };

/** A test of the value and another. */
const withOther =
  (holds: (meter: Meter, value: Value, other: Value) => boolean): Test =>
  ({ meter }, value, given) => {
    const [other = null] = bind('test', given, ['other'], 1);
    return holds(meter, value, other);
  };

const remainder =
  (name: string, wanted: bigint): Test =>
  ({ meter }, value, given) => {
    bind(name, given, []);
    return equal(meter, binary(meter, '%', value, 2n), wanted);
  };

const letters =
  (name: 'islower' | 'isupper'): Test =>
  ({ meter }, value) =>
    textMethod(name)?.(meter, toText(meter, value), NO_ARGUMENTS, () => null) === true;

const isEqual = withOther(equal);
const isUnequal = withOther((meter, value, other) => !equal(meter, value, other));
const isGreater = withOther((meter, value, other) => order(meter, value, other, '>') > 0);
const isGreaterOrEqual = withOther((meter, value, other) => order(meter, value, other, '>=') >= 0);
const isLess = withOther((meter, value, other) => order(meter, value, other, '<') < 0);
const isLessOrEqual = withOther((meter, value, other) => order(meter, value, other, '<=') <= 0);

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', simple('defined', (value) => !(value instanceof Undefined))],
  ['undefined', simple('undefined', (value) => value instanceof Undefined)],
  ['none', simple('none', (value) => value === null)],
  ['boolean', simple('boolean', (value) => typeof value === 'boolean')],
  ['true', simple('true', (value) => value === true)],
  ['false', simple('false', (value) => value === false)],
  ['integer', simple('integer', (value) => typeof value === 'bigint')],
  ['float', simple('float', (value) => typeof value === 'number')],
  ['number', simple('number', (value) => numberOf(value) !== undefined)],
  ['string', simple('string', (value) => textOf(value) !== undefined)],
  ['mapping', simple('mapping', (value) => value instanceof Dict)],
  ['iterable', simple('iterable', isIterable)],
  ['sequence', simple('sequence', isSequence)],
  ['callable', simple('callable', isCallable)],
  ['escaped', simple('escaped', (value) => value instanceof Markup)],
  ['lower', letters('islower')],
  ['upper', letters('isupper')],
  ['odd', remainder('odd', 1n)],
  ['even', remainder('even', 0n)],
  ['divisibleby', withOther((meter, value, other) => equal(meter, binary(meter, '%', value, other), 0n))],
  ['in', withOther((meter, value, other) => contains(meter, other, value))],
  ['sameas', withOther((_, value, other) => value === other)],
  ['filter', ({ meter }, value) => isFilter(toText(meter, value))],
  ['test', ({ meter }, value) => isTest(toText(meter, value))],
  ...named(isEqual, '==', 'eq', 'equalto'),
  ...named(isUnequal, '!=', 'ne'),
  ...named(isGreater, '>', 'gt', 'greaterthan'),
  ...named(isGreaterOrEqual, '>=', 'ge'),
  ...named(isLess, '<', 'lt', 'lessthan'),
  ...named(isLessOrEqual, '<=', 'le'),
]);

/** Whether Jinja2 has the test. */
export function isTest(name: string): boolean {
  return TESTS.has(name);
}

/** value is name(given) */
export function applyTest(context: FilterContext, name: string, value: Value, given: Arguments): boolean {
  context.meter.step();
  const test = TESTS.get(name);
  if (test === undefined) throw new TemplateFault(`there is no test named '${name.slice(0, 60)}'`);
  return test(context, value, given);
}

function named(test: Test, ...names: string[]): [string, Test][] {
  return names.map((name) => [name, test]);
}

/** An undefined value counts: Python sees that it answers a call, if only with an error. */
function isCallable(value: Value): boolean {
  return value instanceof Undefined || (value instanceof HostObject && value.call !== null);
}

/** Whether it has a length and items by position or key: not what is made while it is read, and no view of a dict. */
function isSequence(value: Value): boolean {
  if (value instanceof Lazy || length(null, value) === null) return false;
  const hasItems = isList(value) || textOf(value) !== undefined || value instanceof Tuple || value instanceof Dict;
  return hasItems || value instanceof Range || value instanceof Undefined;
}
