/**
 * @file A template as tokens, as Jinja2 reads it with trim_blocks and lstrip_blocks: a line end after a block is dropped, and
 * white space before a block on its own line; `-` strips more, `+` nothing. Line ends of all kinds are read as \n.
 */
import { isSpace, WHITE_SPACE } from './characters.ts';
import { TemplateFault } from './faults.ts';
import { textOfLiteral } from './literals.ts';
import { BudgetExceeded } from './meter.ts';

/** A piece of the template. `text` is the text between tags, or a string's value. */
export type Token =
  | { kind: 'data' | 'string' | 'name' | 'operator'; text: string; line: number }
  | { kind: 'integer'; value: bigint; line: number }
  | { kind: 'float'; value: number; line: number }
  | { kind: 'variable begin' | 'variable end' | 'block begin' | 'block end' | 'end'; line: number };

const NUMBER_FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const NUMBER_INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{ID_Start}_][\p{ID_Continue}]*/uy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const RAW_BEGIN = new RegExp(`\\{%[-+]?[${WHITE_SPACE}]*raw[${WHITE_SPACE}]*-?%\\}`, 'y');
const RAW_END = new RegExp(`\\{%([-+]?)[${WHITE_SPACE}]*endraw[${WHITE_SPACE}]*([-+]?)%\\}`, 'g');
const CLOSING: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']' };

/** Digits that Python reads as one integer. */
const MOST_DIGITS = 4300;

/** The tokens of a template, the last of kind `end`. Throws TemplateFault, or BudgetExceeded for more than `most` tokens. */
export function tokenize(source: string, most: number): Token[] {
  return new Lexer(source, most).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  readonly #most: number;
  #at = 0;
  #line = 1;
  #counted = 0;
  /** Whether what comes before the next text ended a line: white space before a block is dropped there. */
  #startsLine = true;

  constructor(source: string, most: number) {
    this.#most = most;
    const text = source.replaceAll(/\r\n?/g, '\n');
    this.#source = text.endsWith('\n') ? text.slice(0, -1) : text;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      const begin = this.#nextTag();
      const sign = begin === this.#source.length ? '' : this.#source.charAt(begin + 2);
      this.#data(begin, sign);
      this.#at = begin;
      if (begin < this.#source.length) this.#tag();
    }
    this.#tokens.push({ kind: 'end', line: this.#lineNumber() });
    return this.#tokens;
  }

  /** Where the next `{{`, `{%` or `{#` begins. */
  #nextTag(): number {
    for (let at = this.#source.indexOf('{', this.#at); at >= 0; at = this.#source.indexOf('{', at + 1)) {
      if ('{%#'.includes(this.#source.charAt(at + 1) || ' ')) return at;
    }
    return this.#source.length;
  }

  /** The text up to the next tag, stripped as the tag asks. */
  #data(end: number, sign: string): void {
    const text = this.#source.slice(this.#at, end);
    const isVariable = this.#source.charAt(end + 1) === '{';
    const isEnd = end === this.#source.length;
    const kept = isEnd ? text : stripBefore(text, sign, { isVariable, startsLine: this.#startsLine });
    if (kept !== '') this.#tokens.push({ kind: 'data', text: kept, line: this.#lineNumber() });
  }

  #tag(): void {
    const kind = this.#source.charAt(this.#at + 1);
    RAW_BEGIN.lastIndex = this.#at;
    const raw = RAW_BEGIN.exec(this.#source);
    if (kind === '#') this.#comment();
    else if (raw !== null) this.#raw(raw[0]);
    else this.#openTag(kind === '%' ? 'block' : 'variable');
  }

  #openTag(kind: 'block' | 'variable'): void {
    this.#tokens.push({ kind: `${kind} begin`, line: this.#lineNumber() });
    this.#at += 2;
    if ('-+'.includes(this.#source.charAt(this.#at) || ' ')) this.#at += 1;
    this.#expressionTokens(kind === 'block' ? '%}' : '}}');
  }

  #comment(): void {
    const begin = this.#at + ('-+'.includes(this.#source.charAt(this.#at + 2) || ' ') ? 3 : 2);
    const end = this.#source.indexOf('#}', begin);
    if (end < 0) throw this.#fault('Missing end of comment tag');
    const sign = end > begin ? this.#source.charAt(end - 1) : '';
    this.#at = end + 2;
    this.#afterBlock(sign);
  }

  #raw(begin: string): void {
    this.#at += begin.length;
    if (begin.at(-3) === '-') this.#skipSpace();
    RAW_END.lastIndex = this.#at;
    const end = RAW_END.exec(this.#source);
    if (end === null) throw this.#fault('Missing end of raw directive');
    const text = this.#source.slice(this.#at, end.index);
    const startsLine = this.#source.charAt(this.#at - 1) === '\n';
    const kept = stripBefore(text, end[1] ?? '', { isVariable: false, startsLine });
    if (kept !== '') this.#tokens.push({ kind: 'data', text: kept, line: this.#lineNumber() });
    this.#at = end.index + end[0].length;
    this.#afterBlock(end[2] ?? '');
  }

  /** After the end of a block or comment: `-` drops all white space, nothing one line end, `+` keeps it. */
  #afterBlock(sign: string): void {
    const before = this.#at;
    if (sign === '-') this.#skipSpace();
    else if (sign !== '+' && this.#source.charAt(this.#at) === '\n') this.#at += 1;
    this.#startsLine = this.#at > before && this.#source.charAt(this.#at - 1) === '\n';
  }

  #skipSpace(): void {
    while (this.#at < this.#source.length && isSpace(this.#source.charAt(this.#at))) this.#at += 1;
  }

  #expressionTokens(end: '%}' | '}}'): void {
    const open: string[] = [];
    for (;;) {
      this.#skipSpace();
      if (this.#at >= this.#source.length) return; // the parser misses the end of the tag
      if (open.length === 0 && this.#endTag(end)) return;
      const token = this.#token();
      if (token.kind === 'operator') balance(open, token.text, (message) => this.#fault(message));
      this.#tokens.push(token);
      if (this.#tokens.length > this.#most) throw new BudgetExceeded(`a template of more than ${this.#most} tokens`);
    }
  }

  #endTag(end: '%}' | '}}'): boolean {
    const sign = this.#source.charAt(this.#at);
    const signed = (sign === '-' || (sign === '+' && end === '%}')) && this.#source.startsWith(end, this.#at + 1);
    if (!signed && !this.#source.startsWith(end, this.#at)) return false;
    this.#tokens.push({ kind: end === '%}' ? 'block end' : 'variable end', line: this.#lineNumber() });
    this.#at += signed ? 3 : 2;
    if (end === '%}') this.#afterBlock(signed ? sign : '');
    else {
      const before = this.#at;
      if (signed) this.#skipSpace();
      this.#startsLine = this.#at > before && this.#source.charAt(this.#at - 1) === '\n';
    }
    return true;
  }

  #token(): Token {
    const line = this.#lineNumber();
    const float = this.#source.charAt(this.#at - 1) === '.' ? null : this.#match(NUMBER_FLOAT);
    if (float !== null) return { kind: 'float', value: Number(float.replaceAll('_', '')), line };
    const integer = this.#match(NUMBER_INTEGER);
    if (integer !== null) {
      if (integer.length > MOST_DIGITS) throw this.#fault(`an integer of more than ${MOST_DIGITS} digits`);
      return { kind: 'integer', value: BigInt(integer.replaceAll('_', '')), line };
    }
    const name = this.#match(NAME);
    if (name !== null) return { kind: 'name', text: name, line };
    const quote = this.#source.charAt(this.#at);
    if (quote === '"' || quote === "'") return { kind: 'string', text: this.#string(quote), line };
    const operator = this.#match(OPERATOR);
    if (operator !== null) return { kind: 'operator', text: operator, line };
    throw this.#fault(`unexpected character ${JSON.stringify(quote)}`);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0] ?? null;
    if (found !== null) this.#at += found.length;
    return found;
  }

  #string(quote: string): string {
    const start = this.#at + 1;
    for (let at = start; at < this.#source.length; at++) {
      const character = this.#source.charAt(at);
      if (character === '\\') at += 1;
      else if (character === quote) {
        this.#at = at + 1;
        return textOfLiteral(this.#source.slice(start, at), (message) => this.#fault(message));
      }
    }
    throw this.#fault('a text that does not end');
  }

  #lineNumber(): number {
    for (; this.#counted < this.#at; this.#counted++) {
      if (this.#source.charCodeAt(this.#counted) === 10) this.#line += 1;
    }
    return this.#line;
  }

  #fault(message: string): TemplateFault {
    const fault = new TemplateFault(message);
    fault.line = this.#lineNumber();
    return fault;
  }
}

/** The text before a tag, without the white space that the tag strips. */
function stripBefore(
  text: string,
  sign: string,
  { isVariable, startsLine }: { isVariable: boolean; startsLine: boolean },
): string {
  if (sign !== '-' && (sign === '+' || isVariable)) return text;
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1)) && (sign === '-' || text.charAt(end - 1) !== '\n')) end--;
  if (sign === '-' || (end === 0 ? startsLine : text.charAt(end - 1) === '\n')) return text.slice(0, end);
  return text;
}

function balance(open: string[], operator: string, fault: (message: string) => TemplateFault): void {
  const closing = CLOSING[operator];
  if (closing !== undefined) open.push(closing);
  else if (operator === '}' || operator === ')' || operator === ']') {
    const expected = open.pop();
    if (expected === undefined) throw fault(`unexpected '${operator}'`);
    if (expected !== operator) throw fault(`unexpected '${operator}', expected '${expected}'`);
  }
}
