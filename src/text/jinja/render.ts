/**
 * @file Renders a template of Jinja2 as transformers configures it: a sandbox in which nothing but namespaces changes,
 * trim_blocks, lstrip_blocks, break and continue, the tag `generation`, tojson without escapes for HTML, raise_exception. It
 * is written for untrusted templates: every operation is paid for out of one budget (meter.ts), nothing of JavaScript can be
 * reached, and nothing of the machine: no files, no clock, no chance.
 */
import { bind, integer, integerOr } from './arguments.ts';
import { RaisedByTemplate, TemplateFault } from './faults.ts';
import { applyFilter, isFilter } from './filters.ts';
import { checkFieldName, Interpreter, setKey } from './interpreter.ts';
import { BudgetExceeded, type Limits, Meter } from './meter.ts';
import { parse } from './parser.ts';
import { toText } from './printing.ts';
import { iterate, listOf } from './python.ts';
import { Scope } from './scope.ts';
import type { Block } from './syntax.ts';
import { applyTest, isTest } from './tests.ts';
import { type Arguments, Dict, fromJson, HostObject, Namespace, Range, textOf, type Value } from './values.ts';

/** Templates that were parsed last; a run renders one thousands of times. */
const parsed = new Map<string, Block>();
const MOST_PARSED = 16;

/**
 * The text that the template writes. Throws TemplateFault (its syntax, a use of what is undefined ...), RaisedByTemplate
 * (raise_exception), or BudgetExceeded.
 * @param variables values of JSON by their names in the template; undefined ones are undefined there too
 */
export function renderJinja(template: string, variables: Readonly<Record<string, unknown>>, limits: Limits): string {
  try {
    const block = parsedTemplate(template, limits);
    const meter = new Meter(limits);
    const names = new Scope(globals());
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) names.set(name, fromJson(meter, value));
    }
    return new Interpreter(meter, { filter: applyFilter, test: applyTest }).run(block, names);
  } catch (error) {
    // The stack of JavaScript: the limit of nesting lies before it, unless the caller is deep in it already.
    if (error instanceof RangeError) throw new BudgetExceeded(`something too deep or too long (${error.message})`);
    throw error;
  }
}

function parsedTemplate(template: string, limits: Limits): Block {
  const known = parsed.get(template);
  if (known !== undefined) return known;
  const block = parse(template, { filters: isFilter, tests: isTest }, limits);
  if (parsed.size >= MOST_PARSED) parsed.clear();
  parsed.set(template, block);
  return block;
}

/** The functions of every template. `strftime_now` is none of them: a prompt must not change with the day. */
function globals(): Scope {
  const scope = new Scope(null);
  const functions: Readonly<Record<string, (given: Arguments, meter: Meter) => Value>> = {
    range,
    dict: (given, meter) => dictOf(meter, given),
    namespace: makeNamespace,
    raise_exception(given, meter) {
      const [message = ''] = bind('raise_exception', given, ['message']);
      throw new RaisedByTemplate(toText(meter, message));
    },
    cycler: makeCycler,
    joiner: makeJoiner,
  };
  for (const [name, call] of Object.entries(functions)) scope.set(name, new HostObject('function', call));
  return scope;
}

/** Python's range, with the cap of Jinja2's sandbox. */
function range(given: Arguments, meter: Meter): Value {
  const [first, second, third] = bind('range', given, ['start', 'stop', 'step'], 1);
  const [start, stop] =
    second === undefined ? [0, integer('range', first)] : [integer('range', first), integer('range', second)];
  const step = integerOr('range', third, 1);
  if (step === 0) throw new TemplateFault('range() arg 3 must not be zero');
  const numbers = new Range(start, stop, step);
  if (numbers.length > meter.limits.items)
    throw new BudgetExceeded(`a range() of more than ${meter.limits.items} items`);
  return numbers;
}

/** dict(pairs or a dict, name=value ...) */
function dictOf(meter: Meter, { positional, named }: Arguments): Dict {
  const dict = new Dict();
  const [from] = bind('dict', { positional, named: new Map() }, ['from']);
  if (from instanceof Dict) for (const [key, value] of from.entries()) setKey(dict, key, value);
  else if (from !== undefined) {
    for (const pair of iterate(meter, from)) {
      const [key, value, ...more] = listOf(meter, pair);
      if (key === undefined || value === undefined || more.length > 0) throw new TemplateFault('dict() needs pairs');
      setKey(dict, key, value);
    }
  }
  for (const [name, value] of named) setKey(dict, name, value);
  return dict;
}

function makeNamespace(given: Arguments, meter: Meter): Value {
  const namespace = new Namespace();
  for (const [key, value] of dictOf(meter, given).entries()) {
    const name = textOf(key) ?? '';
    checkFieldName(name);
    namespace.fields.set(name, value);
  }
  return namespace;
}

function makeCycler({ positional }: Arguments): Value {
  if (positional.length === 0) throw new TemplateFault('at least one item has to be provided');
  let at = 0;
  const current = (): Value => positional[at] ?? null;
  return new HostObject('Cycler', null, (name) => {
    switch (name) {
      case 'current':
        return current();
      case 'next':
        return new HostObject('method', () => {
          const item = current();
          at = (at + 1) % positional.length;
          return item;
        });
      case 'reset':
        return new HostObject('method', () => {
          at = 0;
          return null;
        });
      default:
        return undefined;
    }
  });
}

function makeJoiner(given: Arguments): Value {
  const [separator = ', '] = bind('joiner', given, ['sep']);
  let isUsed = false;
  return new HostObject('Joiner', () => {
    const text = isUsed ? separator : '';
    isUsed = true;
    return text;
  });
}
