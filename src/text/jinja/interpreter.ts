/** @file Runs the syntax tree of a template within the budget of a Meter. */
import { attributeOf, itemOf } from './attributes.ts';
import { TemplateFault } from './faults.ts';
import type { FilterContext } from './filter.ts';
import { LoopState } from './loop.ts';
import type { Meter } from './meter.ts';
import { binary, concatenate, signed } from './operators.ts';
import { toText, Writer } from './printing.ts';
import { checkHash, contains, equal, iterate, length, listOf, order, truth, undefinedFault } from './python.ts';
import { Scope } from './scope.ts';
import type {
  Block,
  CallArguments,
  CompareOperator,
  Expression,
  FilterStep,
  Signature,
  Statement,
  Target,
} from './syntax.ts';
import {
  type Arguments,
  Dict,
  HostObject,
  Namespace,
  orElse,
  Slice,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** How a block ended: at its end, or by a statement of the loop around it. */
type Ending = 'end' | 'break' | 'continue';

/** Filters and tests by name. */
export interface Library {
  filter(context: FilterContext, name: string, value: Value, given: Arguments): Value;
  test(context: FilterContext, name: string, value: Value, given: Arguments): boolean;
}

/** Interprets one rendering. */
export class Interpreter {
  readonly #meter: Meter;
  readonly #library: Library;
  readonly #context: FilterContext;

  constructor(meter: Meter, library: Library) {
    this.#meter = meter;
    this.#library = library;
    this.#context = {
      meter,
      filter: (name, value, given) => library.filter(this.#context, name, value, given),
      test: (name, value, given) => library.test(this.#context, name, value, given),
    };
  }

  /** The text that a template writes with these names. */
  run(template: Block, names: Scope): string {
    return this.#render(template, names);
  }

  #render(block: Block, scope: Scope): string {
    const output = new Writer(this.#meter);
    this.#execute(block, scope, output);
    return output.text();
  }

  #execute(block: Block, scope: Scope, output: Writer): Ending {
    let line = 0;
    this.#meter.enter();
    try {
      for (const statement of block) {
        line = statement.line;
        this.#meter.step();
        const ending = this.#statement(statement, scope, output);
        if (ending === 'end') continue;
        this.#meter.leave();
        return ending;
      }
    } catch (error) {
      if (error instanceof TemplateFault) error.line ??= line;
      throw error;
    }
    this.#meter.leave();
    return 'end';
  }

  #statement(statement: Statement, scope: Scope, output: Writer): Ending {
    switch (statement.kind) {
      case 'data':
        output.write(statement.text);
        return 'end';
      case 'print':
        output.write(toText(this.#meter, this.#evaluate(statement.expression, scope)));
        return 'end';
      case 'if': {
        const branch = statement.branches.find(({ condition }) => truth(this.#evaluate(condition, scope)));
        return this.#execute(branch?.body ?? statement.otherwise, scope, output);
      }
      case 'for':
        this.#loop(statement, { iterable: this.#evaluate(statement.iterable, scope), scope, output, depth: 0 });
        return 'end';
      case 'set':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return 'end';
      case 'set block': {
        const text = this.#render(statement.body, new Scope(scope));
        this.#assign(statement.target, this.#filtered(text, statement.filters, scope), scope);
        return 'end';
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const { target, value } of statement.bindings) this.#assign(target, this.#evaluate(value, scope), inner);
        return this.#execute(statement.body, inner, output);
      }
      case 'macro':
        scope.set(statement.name, this.#macro(statement.name, statement.signature, statement.body, scope));
        return 'end';
      case 'call block':
        output.write(toText(this.#meter, this.#callBlock(statement, scope)));
        return 'end';
      case 'filter block': {
        const text = this.#render(statement.body, new Scope(scope));
        const filtered = this.#filtered(text, statement.filters, scope);
        const written = textOf(filtered);
        if (written === undefined)
          throw new TemplateFault(`a filter block must give a text, not ${typeName(filtered)}`);
        output.write(written);
        return 'end';
      }
      case 'generation':
        return this.#execute(statement.body, new Scope(scope), output);
      case 'break':
      case 'continue':
        return statement.kind;
    }
  }

  #loop(
    statement: Statement & { kind: 'for' },
    { iterable, scope, output, depth }: { iterable: Value; scope: Scope; output: Writer; depth: number },
  ): void {
    const recurse = (inner: Value): Value => {
      const text = new Writer(this.#meter);
      this.#meter.nested(() => this.#loop(statement, { iterable: inner, scope, output: text, depth: depth + 1 }));
      return text.text();
    };
    this.#meter.step(20);
    const all = iterate(this.#meter, iterable);
    const items = statement.condition === null ? all : this.#chosen(statement, all, scope);
    const knownLength = statement.condition === null ? length(this.#meter, iterable) : null;
    const loop = new LoopState(this.#meter, items, knownLength, depth, statement.isRecursive ? recurse : null);
    let isEmpty = true;
    for (let item = loop.next(); item !== undefined; item = loop.next()) {
      isEmpty = false;
      this.#meter.step(4);
      const inner = new Scope(scope);
      inner.set('loop', loop.value);
      this.#assign(statement.target, item, inner);
      if (this.#execute(statement.body, inner, output) === 'break') break;
    }
    if (isEmpty) this.#execute(statement.otherwise, new Scope(scope), output);
  }

  /** The items for which the loop's condition holds, asked when their turn comes. */
  *#chosen({ target, condition }: Statement & { kind: 'for' }, items: Iterable<Value>, scope: Scope): Generator<Value> {
    for (const item of items) {
      const inner = new Scope(scope);
      this.#assign(target, item, inner);
      if (condition === null || truth(this.#evaluate(condition, inner))) yield item;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    switch (target.kind) {
      case 'name':
        scope.set(target.name, value);
        return;
      case 'field': {
        const namespace = orElse(scope.get(target.namespace), () => undefinedName(target.namespace));
        if (namespace instanceof Undefined) throw undefinedFault(namespace);
        if (!(namespace instanceof Namespace))
          throw new TemplateFault('cannot assign attribute on non-namespace object');
        checkFieldName(target.field);
        namespace.fields.set(target.field, value);
        return;
      }
      case 'targets': {
        const items = listOf(this.#meter, value);
        if (items.length !== target.items.length) {
          throw new TemplateFault(`cannot unpack ${items.length} values into ${target.items.length} names`);
        }
        for (const [i, each] of target.items.entries()) this.#assign(each, items[i] ?? null, scope);
      }
    }
  }

  #filtered(text: string, filters: readonly FilterStep[], scope: Scope): Value {
    let value: Value = text;
    for (const { name, given } of filters) {
      value = this.#library.filter(this.#context, name, value, this.#arguments(given, scope));
    }
    return value;
  }

  #callBlock({ call, signature, body }: Statement & { kind: 'call block' }, scope: Scope): Value {
    if (call.kind !== 'call') throw new TemplateFault('expected call');
    const caller = this.#macro('caller', signature, body, scope);
    const { positional, named } = this.#arguments(call.given, scope);
    const callee = this.#evaluate(call.callee, scope);
    return this.#call(callee, { positional, named: new Map([...named, ['caller', caller]]) });
  }

  /** A macro, or the body of a call block, with the names around its definition. */
  #macro(name: string, { parameters, reads }: Signature, body: Block, scope: Scope): HostObject {
    const call = ({ positional, named }: Arguments): Value => {
      this.#meter.step(20);
      const inner = new Scope(scope);
      const rest = new Map(named);
      for (const [i, parameter] of parameters.entries()) {
        const { name: own, otherwise } = parameter;
        const given = i < positional.length ? positional[i] : rest.get(own);
        if (i < positional.length && rest.has(own)) {
          throw new TemplateFault(`macro '${name}' got multiple values for argument '${own}'`);
        }
        rest.delete(own);
        const without = (): Value => (otherwise === null ? notProvided(own) : this.#evaluate(otherwise, inner));
        inner.set(own, orElse(given, without));
      }
      if (reads.has('caller'))
        inner.set(
          'caller',
          orElse(rest.get('caller'), () => new Undefined('No caller defined')),
        );
      if (reads.has('caller')) rest.delete('caller');
      const unknown = rest.keys().next().value;
      if (reads.has('kwargs')) inner.set('kwargs', dictOf(rest));
      else if (unknown !== undefined) throw new TemplateFault(`macro '${name}' takes no keyword argument '${unknown}'`);
      if (reads.has('varargs')) inner.set('varargs', new Tuple(positional.slice(parameters.length)));
      else if (positional.length > parameters.length) {
        throw new TemplateFault(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      }
      return this.#render(body, inner);
    };
    return new HostObject('Macro', call, (attribute) => (attribute === 'name' ? name : undefined));
  }

  #evaluate(node: Expression, scope: Scope): Value {
    this.#meter.step();
    this.#meter.enter();
    const value = this.#expression(node, scope);
    this.#meter.leave();
    return value;
  }

  #expression(node: Expression, scope: Scope): Value {
    switch (node.kind) {
      case 'constant':
        return node.value;
      case 'name':
        return orElse(scope.get(node.name), () => undefinedName(node.name));
      case 'list':
        return node.items.map((item) => this.#evaluate(item, scope));
      case 'tuple':
        return new Tuple(node.items.map((item) => this.#evaluate(item, scope)));
      case 'dict': {
        const dict = new Dict();
        for (const { key, value } of node.entries)
          setKey(dict, this.#evaluate(key, scope), this.#evaluate(value, scope));
        return dict;
      }
      case 'attribute':
        return attributeOf(this.#evaluate(node.object, scope), node.name);
      case 'item':
        return itemOf(this.#meter, this.#evaluate(node.object, scope), this.#evaluate(node.key, scope));
      case 'slice': {
        const part = (each: Expression | null): Value => (each === null ? null : this.#evaluate(each, scope));
        return new Slice(part(node.start), part(node.stop), part(node.step));
      }
      case 'call':
        return this.#call(this.#evaluate(node.callee, scope), this.#arguments(node.given, scope));
      case 'filter': {
        const operand = this.#evaluate(node.operand, scope);
        return this.#library.filter(this.#context, node.name, operand, this.#arguments(node.given, scope));
      }
      case 'test': {
        const operand = this.#evaluate(node.operand, scope);
        return this.#library.test(this.#context, node.name, operand, this.#arguments(node.given, scope));
      }
      case 'binary':
        return binary(this.#meter, node.operator, this.#evaluate(node.left, scope), this.#evaluate(node.right, scope));
      case 'concatenation':
        return node.items
          .map((item) => toText(this.#meter, this.#evaluate(item, scope)))
          .reduce((all, text) => concatenate(this.#meter, all, text));
      case 'comparison':
        return this.#comparison(node, scope);
      case 'not':
        return !truth(this.#evaluate(node.operand, scope));
      case 'sign':
        return signed(node.operator, this.#evaluate(node.operand, scope));
      case 'and':
      case 'or': {
        const left = this.#evaluate(node.left, scope);
        return truth(left) === (node.kind === 'and') ? this.#evaluate(node.right, scope) : left;
      }
      case 'conditional':
        if (truth(this.#evaluate(node.condition, scope))) return this.#evaluate(node.then, scope);
        if (node.otherwise !== null) return this.#evaluate(node.otherwise, scope);
        return new Undefined(
          `the inline if-expression on line ${node.line} evaluated to false and no else section was defined.`,
        );
    }
  }

  #comparison({ first, rest }: Expression & { kind: 'comparison' }, scope: Scope): boolean {
    let left = this.#evaluate(first, scope);
    for (const { operator, value } of rest) {
      const right = this.#evaluate(value, scope);
      if (!compare(this.#meter, operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #call(callee: Value, given: Arguments): Value {
    if (callee instanceof Undefined) throw undefinedFault(callee);
    if (!(callee instanceof HostObject) || callee.call === null) {
      throw new TemplateFault(`'${typeName(callee)}' object is not callable`);
    }
    return callee.call(given, this.#meter);
  }

  #arguments({ positional, named, rest, namedRest }: CallArguments, scope: Scope): Arguments {
    const values = positional.map((each) => this.#evaluate(each, scope));
    const names = new Map(named.map(({ name, value }) => [name, this.#evaluate(value, scope)]));
    const unpacked = rest === null ? [] : listOf(this.#meter, this.#evaluate(rest, scope));
    if (namedRest !== null) {
      const dict = this.#evaluate(namedRest, scope);
      if (!(dict instanceof Dict))
        throw new TemplateFault(`argument after ** must be a mapping, not ${typeName(dict)}`);
      for (const [key, value] of dict.entries()) names.set(textOf(key) ?? '', value);
    }
    this.#meter.step(values.length + unpacked.length + names.size);
    return { positional: unpacked.length === 0 ? values : [...values, ...unpacked], named: names };
  }
}

function compare(meter: Meter, operator: CompareOperator, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return equal(meter, a, b);
    case '!=':
      return !equal(meter, a, b);
    case 'in':
      return contains(meter, b, a);
    case 'not in':
      return !contains(meter, b, a);
    case '<':
      return order(meter, a, b, operator) < 0;
    case '<=':
      return order(meter, a, b, operator) <= 0;
    case '>':
      return order(meter, a, b, operator) > 0;
    case '>=':
      return order(meter, a, b, operator) >= 0;
  }
}

function undefinedName(name: string): Undefined {
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name;
  return new Undefined(`'${shown}' is undefined`, name);
}

function notProvided(name: string): Undefined {
  return new Undefined(`parameter '${name}' was not provided`);
}

/** Names that begin with an underscore are out of a namespace's reach, as in transformers. */
export function checkFieldName(name: string): void {
  if (name.startsWith('_'))
    throw new TemplateFault(`a namespace cannot have a field '${name}' with an underscore in front`);
}

/** Sets a key of a dict that is being made. Throws TemplateFault where the key has no hash. */
export function setKey(dict: Dict, key: Value, value: Value): void {
  checkHash(key);
  if (!dict.set(key, value)) throw new TemplateFault(`unhashable type: '${typeName(key)}'`);
}

function dictOf(named: ReadonlyMap<string, Value>): Dict {
  const dict = new Dict();
  for (const [name, value] of named) dict.set(name, value);
  return dict;
}
