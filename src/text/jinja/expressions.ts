/** @file Parses expressions, with the precedences of Jinja2. */
import type { BinaryOperator } from './operators.ts';
import type { CallArguments, CompareOperator, Expression } from './syntax.ts';
import type { Tokens } from './tokens.ts';

/** Names that are values. */
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

export const NO_CALL_ARGUMENTS: CallArguments = { positional: [], named: [], rest: null, namedRest: null };

/** Which filters and tests there are. */
export interface KnownNames {
  filters: (name: string) => boolean;
  tests: (name: string) => boolean;
}

type Join = (left: Expression, right: Expression, line: number) => Expression;

/** Whether a name can be assigned to. */
export function isAssignable(name: string): boolean {
  return !CONSTANTS.has(name);
}

/** Parses expressions from tokens. */
export class ExpressionParser {
  readonly #tokens: Tokens;
  readonly #known: KnownNames;
  readonly #onName: (name: string) => void;

  /** @param onName hears of every name that an expression reads */
  constructor(tokens: Tokens, known: KnownNames, onName: (name: string) => void) {
    this.#tokens = tokens;
    this.#known = known;
    this.#onName = onName;
  }

  /** One expression; without `conditional`, not an `a if b else c`. */
  expression(conditional = true): Expression {
    return this.#tokens.nested(() => (conditional ? this.#conditional() : this.#or()));
  }

  /** One expression, or several with commas between: a tuple. `end`: a name that ends it, as `in` does. */
  tupleOrExpression(options: { conditional?: boolean; isParenthesised?: boolean; end?: string } = {}): Expression {
    const { conditional = true, isParenthesised = false, end } = options;
    const { line } = this.#tokens;
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#endsTuple(end)) {
      items.push(this.expression(conditional));
      if (!this.#tokens.isOperator(',')) break;
      isTuple = true;
      this.#tokens.next();
    }
    const [only] = items;
    if (!isTuple && only !== undefined) return only;
    if (items.length === 0 && !isParenthesised) throw this.#tokens.unexpected('an expression');
    return { kind: 'tuple', items, line };
  }

  #endsTuple(end: string | undefined): boolean {
    const { kind } = this.#tokens.current;
    if (kind === 'variable end' || kind === 'block end' || this.#tokens.isOperator(')')) return true;
    return end !== undefined && this.#tokens.isName(end);
  }

  #conditional(): Expression {
    const { line } = this.#tokens;
    const unknown = this.#tokens.unknownCount;
    let then = this.#or();
    for (let depth = 0; this.#tokens.skipName('if'); depth++) {
      this.#tokens.checkDepth(depth);
      const condition = this.#or();
      const otherwise = this.#tokens.skipName('else') ? this.#tokens.nested(() => this.#conditional()) : null;
      then = { kind: 'conditional', condition, then, otherwise, line };
      this.#tokens.forgive(unknown);
    }
    return then;
  }

  #or(): Expression {
    const join: Join = (left, right, line) => ({ kind: 'or', left, right, line });
    return this.#chain(
      () => this.#and(),
      () => (this.#tokens.skipName('or') ? join : null),
    );
  }

  #and(): Expression {
    const join: Join = (left, right, line) => ({ kind: 'and', left, right, line });
    return this.#chain(
      () => this.#not(),
      () => (this.#tokens.skipName('and') ? join : null),
    );
  }

  #not(): Expression {
    const { line } = this.#tokens;
    if (!this.#tokens.skipName('not')) return this.#comparison();
    return { kind: 'not', operand: this.#tokens.nested(() => this.#not()), line };
  }

  #comparison(): Expression {
    const { line } = this.#tokens;
    const first = this.#sum();
    const rest: { operator: CompareOperator; value: Expression }[] = [];
    for (let operator = this.#comparator(); operator !== null; operator = this.#comparator()) {
      rest.push({ operator, value: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: 'comparison', first, rest, line };
  }

  #comparator(): CompareOperator | null {
    const { current, following } = this.#tokens;
    if (current.kind === 'operator') {
      const { text } = current;
      switch (text) {
        case '==':
        case '!=':
        case '<':
        case '<=':
        case '>':
        case '>=':
          this.#tokens.next();
          return text;
      }
    }
    if (this.#tokens.skipName('in')) return 'in';
    if (!this.#tokens.isName('not') || following.kind !== 'name' || following.text !== 'in') return null;
    this.#tokens.next();
    this.#tokens.next();
    return 'not in';
  }

  #sum(): Expression {
    return this.#binaries(['+', '-'], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const { line } = this.#tokens;
    const first = this.#product();
    if (!this.#tokens.isOperator('~')) return first;
    const items = [first];
    while (this.#tokens.skipOperator('~')) items.push(this.#product());
    return { kind: 'concatenation', items, line };
  }

  #product(): Expression {
    return this.#binaries(['*', '/', '//', '%'], () => this.#binaries(['**'], () => this.#signed()));
  }

  #binaries(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    return this.#chain(operand, () => {
      const operator = operators.find((each) => this.#tokens.skipOperator(each));
      return operator === undefined ? null : (left, right, line) => ({ kind: 'binary', operator, left, right, line });
    });
  }

  /** Operands with operators between, those on the left together first. */
  #chain(operand: () => Expression, readOperator: () => Join | null): Expression {
    let left = operand();
    for (let depth = 1; ; depth++) {
      const { line } = this.#tokens;
      const join = readOperator();
      if (join === null) return left;
      this.#tokens.checkDepth(depth);
      left = join(left, operand(), line);
    }
  }

  #signed(withFilters = true): Expression {
    const { line } = this.#tokens;
    const operator = this.#tokens.isOperator('-') ? '-' : this.#tokens.isOperator('+') ? '+' : null;
    let node: Expression;
    if (operator === null) node = this.#primary();
    else {
      this.#tokens.next();
      node = { kind: 'sign', operator, operand: this.#tokens.nested(() => this.#signed(false)), line };
    }
    node = this.#postfixes(node);
    return withFilters ? this.#filtersAndTests(node) : node;
  }

  #primary(): Expression {
    const token = this.#tokens.current;
    const { line } = token;
    switch (token.kind) {
      case 'name': {
        this.#tokens.next();
        const value = CONSTANTS.get(token.text);
        if (value !== undefined) return { kind: 'constant', value, line };
        this.#onName(token.text);
        return { kind: 'name', name: token.text, line };
      }
      case 'string': {
        const parts: string[] = [];
        for (let each = token; each.kind === 'string'; ) {
          parts.push(each.text);
          this.#tokens.next();
          const { current } = this.#tokens;
          if (current.kind !== 'string') break;
          each = current;
        }
        return { kind: 'constant', value: parts.join(''), line };
      }
      case 'integer':
      case 'float':
        this.#tokens.next();
        return { kind: 'constant', value: token.value, line };
    }
    if (this.#tokens.skipOperator('(')) {
      const inner = this.#tokens.nested(() => this.tupleOrExpression({ isParenthesised: true }));
      this.#tokens.expectOperator(')');
      return inner;
    }
    if (this.#tokens.skipOperator('[')) return { kind: 'list', items: this.#items(']'), line };
    if (this.#tokens.skipOperator('{')) return { kind: 'dict', entries: this.#entries(), line };
    throw this.#tokens.unexpected();
  }

  #items(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.#tokens.isOperator(close)) {
      if (items.length > 0) this.#tokens.expectOperator(',');
      if (this.#tokens.isOperator(close)) break;
      items.push(this.expression());
    }
    this.#tokens.expectOperator(close);
    return items;
  }

  #entries(): { key: Expression; value: Expression }[] {
    const entries: { key: Expression; value: Expression }[] = [];
    while (!this.#tokens.isOperator('}')) {
      if (entries.length > 0) this.#tokens.expectOperator(',');
      if (this.#tokens.isOperator('}')) break;
      const key = this.expression();
      this.#tokens.expectOperator(':');
      entries.push({ key, value: this.expression() });
    }
    this.#tokens.expectOperator('}');
    return entries;
  }

  #postfixes(first: Expression): Expression {
    let node = first;
    for (let depth = 1; this.#tokens.isOperator('.', '[', '('); depth++) {
      this.#tokens.checkDepth(depth);
      node = this.#tokens.isOperator('(') ? this.#call(node) : this.#subscript(node);
    }
    return node;
  }

  #filtersAndTests(first: Expression): Expression {
    let node = first;
    for (let depth = 1; ; depth++) {
      this.#tokens.checkDepth(depth);
      if (this.#tokens.skipOperator('|')) node = { kind: 'filter', operand: node, ...this.filter() };
      else if (this.#tokens.isName('is')) node = this.#test(node);
      else if (this.#tokens.isOperator('(')) node = this.#call(node);
      else return node;
    }
  }

  #subscript(object: Expression): Expression {
    const { line } = this.#tokens;
    if (this.#tokens.skipOperator('.')) {
      const token = this.#tokens.next();
      if (token.kind === 'name') return { kind: 'attribute', object, name: token.text, line };
      if (token.kind !== 'integer') throw this.#tokens.fault('expected name or number');
      return { kind: 'item', object, key: { kind: 'constant', value: token.value, line }, line };
    }
    this.#tokens.expectOperator('[');
    const keys: Expression[] = [];
    while (!this.#tokens.isOperator(']')) {
      if (keys.length > 0) this.#tokens.expectOperator(',');
      keys.push(this.#subscribed());
    }
    this.#tokens.expectOperator(']');
    const [only] = keys;
    const key: Expression = keys.length === 1 && only !== undefined ? only : { kind: 'tuple', items: keys, line };
    return { kind: 'item', object, key, line };
  }

  #subscribed(): Expression {
    const { line } = this.#tokens;
    const part = (): Expression | null => (this.#tokens.isOperator(':', ']', ',') ? null : this.expression());
    const start = part();
    if (!this.#tokens.skipOperator(':')) {
      if (start === null) throw this.#tokens.unexpected('an expression');
      return start;
    }
    const stop = part();
    const step = this.#tokens.skipOperator(':') ? part() : null;
    return { kind: 'slice', start, stop, step, line };
  }

  #call(callee: Expression): Expression {
    const { line } = this.#tokens;
    return { kind: 'call', callee, given: this.callArguments(), line };
  }

  /** (a, b, name=c, *d, **e) */
  callArguments(): CallArguments {
    this.#tokens.expectOperator('(');
    const positional: Expression[] = [];
    const named: { name: string; value: Expression }[] = [];
    let rest: Expression | null = null;
    let namedRest: Expression | null = null;
    const ensure = (holds: boolean): void => {
      if (!holds) throw this.#tokens.fault('invalid syntax for function call expression');
    };
    for (let isFirst = true; !this.#tokens.isOperator(')'); isFirst = false) {
      if (!isFirst) this.#tokens.expectOperator(',');
      if (this.#tokens.isOperator(')')) break;
      const { current, following } = this.#tokens;
      if (this.#tokens.skipOperator('*')) {
        ensure(rest === null && namedRest === null);
        rest = this.expression();
      } else if (this.#tokens.skipOperator('**')) {
        ensure(namedRest === null);
        namedRest = this.expression();
      } else if (current.kind === 'name' && following.kind === 'operator' && following.text === '=') {
        ensure(namedRest === null);
        this.#tokens.next();
        this.#tokens.next();
        named.push({ name: current.text, value: this.expression() });
      } else {
        ensure(rest === null && namedRest === null && named.length === 0);
        positional.push(this.expression());
      }
    }
    this.#tokens.expectOperator(')');
    return { positional, named, rest, namedRest };
  }

  /** A filter's name and arguments, after the bar. */
  filter(): { name: string; given: CallArguments; line: number } {
    const { line } = this.#tokens;
    const name = this.#dottedName();
    if (!this.#known.filters(name)) this.#tokens.reportUnknown(`there is no filter named '${name.slice(0, 60)}'`);
    return { name, given: this.#tokens.isOperator('(') ? this.callArguments() : NO_CALL_ARGUMENTS, line };
  }

  #test(operand: Expression): Expression {
    const { line } = this.#tokens;
    this.#tokens.expectName('is');
    const isNegated = this.#tokens.skipName('not');
    const name = this.#dottedName();
    if (!this.#known.tests(name)) this.#tokens.reportUnknown(`there is no test named '${name.slice(0, 60)}'`);
    const test: Expression = { kind: 'test', name, operand, given: this.#testArguments(), line };
    return isNegated ? { kind: 'not', operand: test, line } : test;
  }

  /** `is divisibleby(3)` and `is divisibleby 3` are the same. */
  #testArguments(): CallArguments {
    if (this.#tokens.isOperator('(')) return this.callArguments();
    const { kind } = this.#tokens.current;
    const begins =
      kind === 'string' ||
      kind === 'integer' ||
      kind === 'float' ||
      this.#tokens.isOperator('[', '{') ||
      (kind === 'name' && !this.#tokens.isName('else', 'or', 'and'));
    if (!begins) return NO_CALL_ARGUMENTS;
    if (this.#tokens.isName('is')) throw this.#tokens.fault('You cannot chain multiple tests with is');
    const argument = this.#tokens.nested(() => this.#postfixes(this.#primary()));
    return { ...NO_CALL_ARGUMENTS, positional: [argument] };
  }

  #dottedName(): string {
    let name = this.#tokens.name();
    while (this.#tokens.skipOperator('.')) name += `.${this.#tokens.name()}`;
    return name;
  }
}
