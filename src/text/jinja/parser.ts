/** @file Parses the statements of a template. */
import { ExpressionParser, isAssignable, type KnownNames } from './expressions.ts';
import type { Limits } from './meter.ts';
import type { Block, Expression, FilterStep, Signature, Statement, Target } from './syntax.ts';
import { Tokens } from './tokens.ts';

/** Statements of Jinja2 that need other templates, or that transformers' templates do not have. */
const UNSUPPORTED = ['include', 'import', 'from', 'extends', 'block', 'autoescape', 'print'];

/** What a macro's body can read beside its parameters. */
const SPECIAL_NAMES = ['varargs', 'kwargs', 'caller'];

/** The statements of a template. Throws TemplateFault, or BudgetExceeded where it is nested too deeply. */
export function parse(source: string, known: KnownNames, limits: Limits): Block {
  return new Parser(new Tokens(source, limits), known).template();
}

class Parser {
  readonly #tokens: Tokens;
  readonly #expressions: ExpressionParser;
  #loops = 0;
  /** Names that were read, in the macro that is being parsed. */
  #read = new Set<string>();

  constructor(tokens: Tokens, known: KnownNames) {
    this.#tokens = tokens;
    this.#expressions = new ExpressionParser(tokens, known, (name) => this.#read.add(name));
  }

  template(): Block {
    const block = this.#tokens.strict(() => this.#block([]));
    if (this.#tokens.current.kind !== 'end') throw this.#tokens.unexpected();
    return block;
  }

  /** Statements up to one of the names that end them; the name is the next token. */
  #block(ends: readonly string[]): Block {
    const statements: Statement[] = [];
    for (;;) {
      const token = this.#tokens.current;
      const { line } = token;
      switch (token.kind) {
        case 'data':
          this.#tokens.next();
          statements.push({ kind: 'data', text: token.text, line });
          break;
        case 'variable begin':
          this.#tokens.next();
          statements.push({ kind: 'print', expression: this.#expressions.tupleOrExpression(), line });
          this.#tokens.expectEnd('variable end');
          break;
        case 'block begin': {
          this.#tokens.next();
          if (this.#tokens.isName(...ends)) return statements;
          statements.push(this.#tokens.nested(() => this.#statement(ends)));
          this.#tokens.expectEnd('block end');
          break;
        }
        default:
          if (ends.length > 0) throw this.#tokens.unexpected(ends.map((end) => `'${end}'`).join(' or '));
          return statements;
      }
    }
  }

  /** The statements of a block after its `%}`, up to its end; the end's name is read. */
  #body(...ends: readonly string[]): { body: Block; end: string } {
    this.#tokens.expectEnd('block end');
    const body = this.#block(ends);
    return { body, end: this.#tokens.name() };
  }

  /** The same for a block that Jinja2 compiles on its own: unknown filters are errors in it, whatever is around it. */
  #strictBody(...ends: readonly string[]): { body: Block; end: string } {
    return this.#tokens.strict(() => this.#body(...ends));
  }

  #statement(ends: readonly string[]): Statement {
    const { line } = this.#tokens;
    const name = this.#tokens.name();
    switch (name) {
      case 'if':
        return this.#if(line);
      case 'for':
        return this.#for(line);
      case 'set':
        return this.#set(line);
      case 'with':
        return this.#with(line);
      case 'macro':
        return this.#macro(line);
      case 'call':
        return this.#callBlock(line);
      case 'filter': {
        const filters = [this.#expressions.filter(), ...this.#filters()];
        return { kind: 'filter block', filters, body: this.#strictBody('endfilter').body, line };
      }
      case 'generation':
        return { kind: 'generation', body: this.#outsideLoops(() => this.#strictBody('endgeneration').body), line };
      case 'break':
      case 'continue':
        if (this.#loops === 0) throw this.#tokens.fault(`'${name}' outside of a loop`);
        return { kind: name, line };
    }
    if (UNSUPPORTED.includes(name)) {
      throw this.#tokens.fault(`the statement '${name}' is not supported in a chat template, which stands alone`);
    }
    const expected = ends.length === 0 ? '' : `, expected ${ends.map((end) => `'${end}'`).join(' or ')}`;
    throw this.#tokens.fault(`unknown statement '${name.slice(0, 60)}'${expected}`);
  }

  #if(line: number): Statement {
    const unknown = this.#tokens.unknownCount;
    const branches: { condition: Expression; body: Block }[] = [];
    for (;;) {
      const condition = this.#expressions.tupleOrExpression({ conditional: false });
      const { body, end } = this.#body('elif', 'else', 'endif');
      branches.push({ condition, body });
      if (end === 'elif') continue;
      const otherwise = end === 'else' ? this.#body('endif').body : [];
      this.#tokens.forgive(unknown);
      return { kind: 'if', branches, otherwise, line };
    }
  }

  #for(line: number): Statement {
    const target = this.#target('in');
    if (assigns(target, 'loop')) throw this.#tokens.fault("Can't assign to special loop variable in for-loop target");
    this.#tokens.expectName('in');
    const iterable = this.#expressions.tupleOrExpression({ conditional: false, end: 'recursive' });
    const condition = this.#tokens.skipName('if') ? this.#expressions.expression() : null;
    const isRecursive = this.#tokens.skipName('recursive');
    this.#loops += 1;
    const { body, end } = this.#strictBody('else', 'endfor');
    this.#loops -= 1;
    const otherwise = end === 'else' ? this.#strictBody('endfor').body : [];
    return { kind: 'for', target, iterable, condition, isRecursive, body, otherwise, line };
  }

  #set(line: number): Statement {
    const target = this.#target('=', true);
    if (this.#tokens.skipOperator('=')) {
      return { kind: 'set', target, value: this.#expressions.tupleOrExpression(), line };
    }
    const filters = this.#filters();
    return {
      kind: 'set block',
      target,
      filters,
      body: this.#outsideLoops(() => this.#strictBody('endset').body),
      line,
    };
  }

  #filters(): FilterStep[] {
    const filters: FilterStep[] = [];
    while (this.#tokens.skipOperator('|')) filters.push(this.#expressions.filter());
    return filters;
  }

  #with(line: number): Statement {
    const bindings: { target: Target; value: Expression }[] = [];
    while (this.#tokens.current.kind !== 'block end') {
      if (bindings.length > 0) this.#tokens.expectOperator(',');
      const target = this.#target('=');
      this.#tokens.expectOperator('=');
      bindings.push({ target, value: this.#expressions.expression() });
    }
    return { kind: 'with', bindings, body: this.#strictBody('endwith').body, line };
  }

  #macro(line: number): Statement {
    const name = this.#assignable(this.#tokens.name());
    const { signature, body } = this.#withSignature(true, 'endmacro');
    return { kind: 'macro', name, signature, body, line };
  }

  #callBlock(line: number): Statement {
    const parameters = this.#tokens.isOperator('(') ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.kind !== 'call') throw this.#tokens.fault('expected call');
    const { signature, body } = this.#withSignature(parameters, 'endcall');
    return { kind: 'call block', signature, call, body, line };
  }

  /** The body of a macro or call block, and which of the special names it reads. */
  #withSignature(known: Signature['parameters'] | true, end: string): { signature: Signature; body: Block } {
    const outer = this.#read;
    this.#read = new Set();
    const parameters = known === true ? this.#parameters() : known;
    const body = this.#outsideLoops(() => this.#strictBody(end).body);
    const reads = new Set(SPECIAL_NAMES.filter((name) => this.#read.has(name)));
    for (const name of this.#read) outer.add(name);
    this.#read = outer;
    return { signature: { parameters, reads }, body };
  }

  #outsideLoops<Result>(parse: () => Result): Result {
    const loops = this.#loops;
    this.#loops = 0;
    const result = parse();
    this.#loops = loops;
    return result;
  }

  #parameters(): Signature['parameters'] {
    const parameters: { name: string; otherwise: Expression | null }[] = [];
    this.#tokens.expectOperator('(');
    while (!this.#tokens.isOperator(')')) {
      if (parameters.length > 0) this.#tokens.expectOperator(',');
      const name = this.#assignable(this.#tokens.name());
      const otherwise = this.#tokens.skipOperator('=') ? this.#expressions.expression() : null;
      if (otherwise === null && parameters.at(-1)?.otherwise) {
        throw this.#tokens.fault('non-default argument follows default argument');
      }
      parameters.push({ name, otherwise });
    }
    this.#tokens.expectOperator(')');
    return parameters;
  }

  /** One target, or several with commas between. */
  #target(end: string, withFields = false): Target {
    const items: Target[] = [];
    let isTuple = false;
    while (!this.#tokens.isName(end) && !this.#tokens.isOperator(end, ')')) {
      items.push(this.#oneTarget(withFields));
      if (!this.#tokens.skipOperator(',')) break;
      isTuple = true;
    }
    const [only] = items;
    if (only === undefined) throw this.#tokens.unexpected('a name');
    return isTuple ? { kind: 'targets', items } : only;
  }

  #oneTarget(withFields: boolean): Target {
    if (this.#tokens.skipOperator('(')) {
      const inner = this.#tokens.nested(() => this.#target(')', withFields));
      this.#tokens.expectOperator(')');
      return inner;
    }
    const name = this.#tokens.name();
    if (withFields && this.#tokens.skipOperator('.')) {
      this.#read.add(name);
      return { kind: 'field', namespace: name, field: this.#tokens.name() };
    }
    return { kind: 'name', name: this.#assignable(name) };
  }

  #assignable(name: string): string {
    if (isAssignable(name)) return name;
    throw this.#tokens.fault(`can't assign to '${name}'`);
  }
}

function assigns(target: Target, name: string): boolean {
  switch (target.kind) {
    case 'name':
      return target.name === name;
    case 'targets':
      return target.items.some((item) => assigns(item, name));
    case 'field':
      return false;
  }
}
