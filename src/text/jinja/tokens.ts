/** @file The tokens of a template one after the other, for the parser. */
import { TemplateFault } from './faults.ts';
import { type Token, tokenize } from './lexer.ts';
import { BudgetExceeded, type Limits } from './meter.ts';

/** Reads tokens; knows how deep the parser is, and which unknown filters and tests it has met. */
export class Tokens {
  readonly #tokens: readonly Token[];
  readonly #nesting: number;
  readonly #end: Token;
  #at = 0;
  #depth = 0;
  /** Unknown filters and tests that are errors unless they turn out to be in a condition. */
  #unknown: TemplateFault[] = [];

  constructor(source: string, { nesting, items }: Limits) {
    this.#tokens = tokenize(source, items);
    this.#end = this.#tokens.at(-1) ?? { kind: 'end', line: 1 };
    this.#nesting = nesting;
  }

  get current(): Token {
    return this.#tokens[this.#at] ?? this.#end;
  }

  get following(): Token {
    return this.#tokens[this.#at + 1] ?? this.#end;
  }

  get line(): number {
    return this.current.line;
  }

  next(): Token {
    const token = this.current;
    this.#at += 1;
    return token;
  }

  /** Whether the current token is this operator. */
  isOperator(...operators: string[]): boolean {
    return this.current.kind === 'operator' && operators.includes(this.current.text);
  }

  /** Whether the current token is one of these names. */
  isName(...names: string[]): boolean {
    return this.current.kind === 'name' && names.includes(this.current.text);
  }

  skipOperator(operator: string): boolean {
    if (!this.isOperator(operator)) return false;
    this.#at += 1;
    return true;
  }

  skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.#at += 1;
    return true;
  }

  expectOperator(operator: string): void {
    if (!this.skipOperator(operator)) throw this.unexpected(`'${operator}'`);
  }

  expectName(name: string): void {
    if (!this.skipName(name)) throw this.unexpected(`'${name}'`);
  }

  /** The next token, which must be a name. */
  name(): string {
    const token = this.current;
    if (token.kind !== 'name') throw this.unexpected('a name');
    this.#at += 1;
    return token.text;
  }

  expectEnd(kind: 'variable end' | 'block end'): void {
    if (this.current.kind !== kind) throw this.unexpected(kind === 'block end' ? "'%}'" : "'}}'");
    this.#at += 1;
  }

  /** Parses something one level deeper. */
  nested<Result>(parse: () => Result): Result {
    this.checkDepth(this.#depth);
    this.#depth += 1;
    try {
      return parse();
    } finally {
      this.#depth -= 1;
    }
  }

  /** For chains that a loop reads and the interpreter goes down. */
  checkDepth(depth: number): void {
    if (depth >= this.#nesting) throw new BudgetExceeded(`nesting deeper than ${this.#nesting}`);
  }

  /** Remembers a filter or test that does not exist: an error at once, except in a condition that may ask before. */
  reportUnknown(message: string): void {
    this.#unknown.push(this.fault(message));
  }

  /** Parses a part in which unknown filters and tests are errors. */
  strict<Result>(parse: () => Result): Result {
    const before = this.#unknown;
    this.#unknown = [];
    const result = parse();
    const [unknown] = this.#unknown;
    if (unknown !== undefined) throw unknown;
    this.#unknown = before;
    return result;
  }

  /** How many unknown filters and tests there are; `forgive` drops those after that many. */
  get unknownCount(): number {
    return this.#unknown.length;
  }

  forgive(count: number): void {
    this.#unknown.length = count;
  }

  unexpected(expected?: string): TemplateFault {
    const token = this.current;
    const shown =
      token.kind === 'end'
        ? 'the end of the template'
        : 'text' in token
          ? `'${token.text.slice(0, 60)}'`
          : 'value' in token
            ? String(token.value)
            : token.kind;
    return this.fault(`unexpected ${shown}${expected === undefined ? '' : `, expected ${expected}`}`);
  }

  fault(message: string): TemplateFault {
    const fault = new TemplateFault(message);
    fault.line = this.line;
    return fault;
  }
}
