/** The text of a trace program: its words, and where each is. */
import { HoldfastError } from '../../../../errors.ts';

export interface Token {
  readonly kind: 'word' | 'map' | 'variable' | 'number' | 'string' | 'sign' | 'end';
  /** A word as it stands, the name of a map or variable without its sign, a string's content. */
  readonly text: string;
  /** Of a number. */
  readonly value: number;
  /** Characters from the start of the source. */
  readonly at: number;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

const SPACE = /(?:\s+|\/\/[^\n]*|#[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const WORD = /[A-Za-z_]\w*/y;
const NAMED = /[@$](?:[A-Za-z_]\w*)?/y;
const NUMBER = /(0[xX][\da-fA-F_]+|\d[\d_]*(?:e\d+)?)([A-Za-z]*)/y;
const STRING = /"((?:[^"\\\n]|\\.)*)"/y;
const SIGN = /\.\.|&&|\|\||==|!=|<=|>=|<<|>>|\+\+|--|\+=|-=|[-+*/%&|^!<>=?:;,(){}[\]]/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', '"': '"', '\\': '\\' };

/** Throws EINVAL with the line and the column. */
export function fail(source: string, at: number, reason: string): never {
  const lines = source.slice(0, at).split('\n');
  const column = (lines.at(-1)?.length ?? 0) + 1;
  throw new HoldfastError('EINVAL', `trace program, line ${lines.length}, column ${column}: ${reason}`);
}

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; ; ) {
    at += match(SPACE, source, at)?.[0].length ?? 0;
    if (at >= source.length) break;
    const [token, length] = tokenAt(source, at);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: 'end', text: '', value: 0, at: source.length });
  return tokens;
}

function tokenAt(source: string, at: number): [Token, number] {
  const token = (kind: Token['kind'], text: string, length: number, value = 0): [Token, number] => [
    { kind, text, value, at },
    length,
  ];
  const word = match(WORD, source, at)?.[0];
  if (word !== undefined) return token('word', word, word.length);
  const named = match(NAMED, source, at)?.[0];
  if (named === '$') fail(source, at, 'expected the name of a variable behind $');
  if (named !== undefined) return token(named.startsWith('@') ? 'map' : 'variable', named.slice(1), named.length);
  const number = match(NUMBER, source, at);
  if (number !== null) return token('number', number[0], number[0].length, numberOf(source, at, number));
  const string = match(STRING, source, at);
  if (string !== null) {
    const text = (string[1] as string).replace(/\\(.)/g, (_, sign: string) => ESCAPES[sign] ?? sign);
    return token('string', text, string[0].length);
  }
  if (source[at] === '"') fail(source, at, 'this string has no end on its line');
  const sign = match(SIGN, source, at)?.[0];
  if (sign !== undefined) return token('sign', sign, sign.length);
  return fail(source, at, `nothing begins with ${JSON.stringify(source[at])}`);
}

function numberOf(source: string, at: number, [, digits = '', unit = '']: RegExpExecArray): number {
  const factor = UNITS[unit];
  if (factor === undefined)
    fail(source, at, `a number ends in ns, us, ms, s, m or h, or in nothing; this one in ${unit}`);
  const value = Number(digits.replaceAll('_', '')) * factor;
  if (!Number.isSafeInteger(value)) fail(source, at, 'a number is below 2^53');
  return value;
}

function match(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}
