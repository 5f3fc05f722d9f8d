/**
 * Splits litmus text into tokens that know their line and column, and a cursor over them that says what it expected.
 * One token language serves the initial state, the final condition, C and assembly operands. Comments are skipped in
 * C's two styles and, outside C code, where `(*x)` is a dereference, in OCaml's.
 */
import { LitmusSyntaxError, UnsupportedConstruct } from './errors.ts';

export type TokenType = 'name' | 'number' | 'string' | 'symbol' | 'end';

export interface Token {
  readonly type: TokenType;
  readonly text: string;
  readonly line: number;
  readonly column: number;
  /** Offset in the text, of its first character and past its last. */
  readonly start: number;
  readonly end: number;
}

/** Longest first. */
const symbols = [
  '->',
  '/\\',
  '\\/',
  '<<=',
  '>>=',
  '<<',
  '>>',
  '<=',
  '>=',
  '==',
  '!=',
  '<>',
  '=>',
  '&&',
  '||',
  '+=',
  '-=',
  '|=',
  '&=',
  '^=',
  '++',
  '--',
  '(',
  ')',
  '{',
  '}',
  '[',
  ']',
  ';',
  ':',
  ',',
  '=',
  '~',
  '+',
  '-',
  '*',
  '/',
  '%',
  '&',
  '|',
  '^',
  '!',
  '<',
  '>',
  '?',
  '.',
  '#',
  '$',
  '@',
];

const wordPattern = /[A-Za-z_][A-Za-z0-9_]*/y;
const numberPattern = /(?:0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)(?:[uUlL]+(?![A-Za-z0-9_]))?/y;

/** Where the comments and blanks at `at` end. */
export function skipBlanks(text: string, at: number, ocaml: boolean): number {
  for (let from = at; from < text.length; ) {
    const next = skipBlank(text, from, ocaml);
    if (next === from) return from;
    from = next;
  }
  return text.length;
}

/** The end of the comment or blank that starts at `at`, or `at` where there is none. */
function skipBlank(text: string, at: number, ocaml: boolean): number {
  const pair = text.slice(at, at + 2);
  if (ocaml && pair === '(*') return closing(text, at, '(*', '*)');
  if (pair === '/*') return closing(text, at, undefined, '*/');
  if (pair === '//') {
    const newline = text.indexOf('\n', at);
    return newline < 0 ? text.length : newline;
  }
  return /\s/.test(text[at]!) ? at + 1 : at;
}

/** OCaml comments nest, C's do not. */
function closing(text: string, at: number, open: string | undefined, close: string): number {
  let depth = 1;
  for (let i = at + 2; i < text.length; i++) {
    if (text.startsWith(close, i)) {
      i += close.length;
      if (--depth === 0) return i;
      i--;
    } else if (open !== undefined && text.startsWith(open, i)) {
      depth++;
      i++;
    }
  }
  const [line, column] = position(text, at);
  throw new LitmusSyntaxError(line, column, `"${close}" to end the comment`, 'end of file');
}

export function position(text: string, offset: number): [line: number, column: number] {
  let line = 1;
  let start = 0;
  for (let i = text.indexOf('\n'); i >= 0 && i < offset; i = text.indexOf('\n', i + 1)) {
    line++;
    start = i + 1;
  }
  return [line, offset - start + 1];
}

/** The tokens of `text` from `from` up to `to`. */
export function tokenize(text: string, from = 0, to = text.length, ocaml = true): Token[] {
  const tokens: Token[] = [];
  let [line, column] = position(text, from);
  const advance = (start: number, end: number): void => {
    for (let i = start; i < end; i++) {
      if (text[i] === '\n') {
        line++;
        column = 1;
      } else column++;
    }
  };
  for (let at = from; at < to; ) {
    const blank = skipBlank(text, at, ocaml);
    if (blank > at) {
      advance(at, blank);
      at = blank;
      continue;
    }
    const token = tokenAt(text, at, line, column);
    tokens.push(token);
    advance(at, token.end);
    at = token.end;
  }
  tokens.push({ type: 'end', text: '', line, column, start: to, end: to });
  return tokens;
}

function tokenAt(text: string, at: number, line: number, column: number): Token {
  const make = (type: TokenType, length: number): Token => {
    return { type, text: text.slice(at, at + length), line, column, start: at, end: at + length };
  };
  wordPattern.lastIndex = at;
  const word = wordPattern.exec(text);
  if (word !== null) return make('name', word[0].length);
  numberPattern.lastIndex = at;
  const number = numberPattern.exec(text);
  if (number !== null) return make('number', number[0].length);
  if (text[at] === '"') {
    const close = text.indexOf('"', at + 1);
    if (close < 0) throw new LitmusSyntaxError(line, column, 'a closing quote', 'end of file');
    return make('string', close + 1 - at);
  }
  for (const symbol of symbols) if (text.startsWith(symbol, at)) return make('symbol', symbol.length);
  throw new LitmusSyntaxError(line, column, 'a name, a number or an operator', JSON.stringify(text[at]));
}

/** How deep a condition, an expression or a block may lie in others. */
const deepest = 500;

export class Cursor {
  readonly tokens: readonly Token[];
  at = 0;
  /** The labels that branches lead to, as they were read. */
  readonly targets: Token[] = [];
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get token(): Token {
    return this.tokens[this.at]!;
  }

  peek(ahead = 1): Token {
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.token;
    if (token.type !== 'end') this.at++;
    return token;
  }

  is(text: string): boolean {
    return this.token.text === text && this.token.type !== 'string' && this.token.type !== 'end';
  }

  /** Take the token if it is `text`. */
  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }

  expect(text: string): Token {
    if (!this.is(text)) this.fail(`"${text}"`);
    return this.next();
  }

  name(what: string): Token {
    if (this.token.type !== 'name') this.fail(what);
    return this.next();
  }

  /** The label that a branch leads to. */
  label(): string {
    const token = this.name('a label');
    this.targets.push(token);
    return token.text;
  }

  /** A whole number, with its sign. */
  integer(): bigint {
    const negative = this.accept('-');
    if (this.token.type !== 'number') this.fail('a number');
    const value = BigInt(this.next().text.replace(/[uUlL]+$/, ''));
    return negative ? -value : value;
  }

  /** Parse what lies one level deeper. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > deepest) {
      const { line, column } = this.token;
      throw new UnsupportedConstruct(`more than ${deepest} levels of nesting`, line, column);
    }
    const result = parse();
    this.#depth--;
    return result;
  }

  fail(expected: string): never {
    const { token } = this;
    const found = token.type === 'end' ? 'the end' : JSON.stringify(token.text);
    throw new LitmusSyntaxError(token.line, token.column, expected, found);
  }
}
