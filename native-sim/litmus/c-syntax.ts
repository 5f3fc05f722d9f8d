/**
 * The C of litmus tests, as a tree: a list of functions `P0(int *x) { ... }` made of declarations, assignments, calls,
 * `if`/`else`, loops and blocks.
 */
import { UnsupportedConstruct } from './errors.ts';
import type { Cursor, Token } from './tokens.ts';

export type Expression =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'name'; readonly name: string; readonly at: Token }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'dereference'; readonly address: Expression }
  | { readonly kind: 'index'; readonly base: Expression; readonly index: Expression }
  | { readonly kind: 'address'; readonly of: Expression }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[]; readonly at: Token };

export type Statement =
  | { readonly kind: 'assign'; readonly to: Expression; readonly value: Expression }
  | { readonly kind: 'evaluate'; readonly expression: Expression }
  | { readonly kind: 'if'; readonly condition: Expression; readonly then: Statement; readonly otherwise: Statement }
  | {
      readonly kind: 'while';
      readonly condition: Expression;
      readonly body: Statement;
      /** What comes after each turn, `continue` included: the last part of a `for`. */
      readonly step?: Statement;
      /** `do`: the first turn comes before the condition. */
      readonly bodyFirst?: boolean;
    }
  | { readonly kind: 'break' | 'continue' }
  | { readonly kind: 'block'; readonly statements: readonly Statement[] };

export interface FunctionDefinition {
  readonly thread: number;
  /** Names of the parameters: the globals that the body may use. */
  readonly parameters: readonly string[];
  readonly body: Statement;
}

const typeWords = new Set([
  'int',
  'long',
  'short',
  'char',
  'unsigned',
  'signed',
  'void',
  'volatile',
  'const',
  'struct',
  'bool',
  '_Bool',
  'atomic_t',
  'atomic_long_t',
  'atomic64_t',
  'spinlock_t',
  'raw_spinlock_t',
  'uint8_t',
  'uint16_t',
  'uint32_t',
  'uint64_t',
  'int8_t',
  'int16_t',
  'int32_t',
  'int64_t',
  'uintptr_t',
  'intptr_t',
  'u8',
  'u16',
  'u32',
  'u64',
  'size_t',
  'ptrdiff_t',
  '__int128',
  '__int128_t',
  '__uint128_t',
  '_Atomic',
  'atomic_bool',
  'atomic_char',
  'atomic_int',
  'atomic_uint',
  'atomic_long',
  'atomic_ulong',
  'rwlock_t',
  'mutex',
  'srcu_struct',
]);

export function isTypeWord(text: string): boolean {
  return typeWords.has(text);
}

/** Skip the words and stars of a type; `struct` takes the name that follows it along. */
export function skipType(cursor: Cursor): void {
  while (isTypeWord(cursor.token.text) || cursor.is('*')) {
    if (cursor.next().text === 'struct' && cursor.token.type === 'name' && cursor.peek().type !== 'end') {
      if (cursor.peek().text !== ';' && cursor.peek().text !== '=' && cursor.peek().text !== ',') cursor.next();
    }
  }
}

export function parseFunction(cursor: Cursor): FunctionDefinition {
  while (isTypeWord(cursor.token.text)) cursor.next();
  const name = cursor.name('a thread function ("P0")');
  if (!/^P[0-9]+$/.test(name.text)) cursor.fail('a thread function ("P0")');
  cursor.expect('(');
  const parameters: string[] = [];
  while (!cursor.is(')')) {
    skipType(cursor);
    if (cursor.is(')')) break;
    parameters.push(cursor.name('a parameter').text);
    while (cursor.accept('[')) {
      if (cursor.token.type === 'number') cursor.next();
      cursor.expect(']');
    }
    if (!cursor.accept(',') && !cursor.is(')')) cursor.fail('"," or ")"');
  }
  cursor.expect(')');
  return { thread: Number(name.text.slice(1)), parameters, body: parseBlock(cursor) };
}

function parseBlock(cursor: Cursor): Statement {
  cursor.expect('{');
  const statements: Statement[] = [];
  while (!cursor.accept('}')) statements.push(parseStatement(cursor));
  return { kind: 'block', statements };
}

function parseStatement(cursor: Cursor): Statement {
  return cursor.nested(() => parseOneStatement(cursor));
}

function parseOneStatement(cursor: Cursor): Statement {
  if (cursor.is('{')) return parseBlock(cursor);
  if (cursor.accept(';')) return { kind: 'block', statements: [] };
  if (cursor.accept('if')) {
    cursor.expect('(');
    const condition = parseExpression(cursor);
    cursor.expect(')');
    const then = parseStatement(cursor);
    const otherwise: Statement = cursor.accept('else') ? parseStatement(cursor) : { kind: 'block', statements: [] };
    return { kind: 'if', condition, then, otherwise };
  }
  if (cursor.accept('while')) {
    cursor.expect('(');
    const condition = parseExpression(cursor);
    cursor.expect(')');
    return { kind: 'while', condition, body: parseStatement(cursor) };
  }
  if (cursor.accept('do')) {
    const body = parseStatement(cursor);
    cursor.expect('while');
    cursor.expect('(');
    const condition = parseExpression(cursor);
    cursor.expect(')');
    cursor.expect(';');
    return { kind: 'while', condition, body, bodyFirst: true };
  }
  if (cursor.accept('for')) return parseFor(cursor);
  if (cursor.is('break') || cursor.is('continue')) {
    const kind = cursor.next().text as 'break' | 'continue';
    cursor.expect(';');
    return { kind };
  }
  if (/^(?:switch|goto|return)$/.test(cursor.token.text)) {
    const { text, line, column } = cursor.token;
    throw new UnsupportedConstruct(`"${text}" statement`, line, column);
  }
  return isTypeWord(cursor.token.text) ? parseDeclaration(cursor) : parseSimple(cursor, ';');
}

/** `for (r0 = 0; r0 < 2; r0++)`; a condition that is left out always holds. */
function parseFor(cursor: Cursor): Statement {
  cursor.expect('(');
  const empty: Statement = { kind: 'block', statements: [] };
  const begin = cursor.accept(';')
    ? empty
    : isTypeWord(cursor.token.text)
      ? parseDeclaration(cursor)
      : parseSimple(cursor, ';');
  const condition: Expression = cursor.is(';') ? { kind: 'number', value: 1n } : parseExpression(cursor);
  cursor.expect(';');
  const step = cursor.accept(')') ? empty : parseSimple(cursor, ')');
  const body = parseStatement(cursor);
  return { kind: 'block', statements: [begin, { kind: 'while', condition, body, step }] };
}

/** `int r1 = *x, *r2;` */
function parseDeclaration(cursor: Cursor): Statement {
  const statements: Statement[] = [];
  do {
    skipType(cursor);
    const at = cursor.name('a variable');
    if (cursor.accept('=')) {
      const to: Expression = { kind: 'name', name: at.text, at };
      statements.push({ kind: 'assign', to, value: parseExpression(cursor) });
    }
  } while (cursor.accept(','));
  cursor.expect(';');
  return { kind: 'block', statements };
}

function parseSimple(cursor: Cursor, end: ';' | ')'): Statement {
  const first = parseExpression(cursor);
  if (cursor.accept(end)) return { kind: 'evaluate', expression: first };
  const counting = /^([-+])\1$/.exec(cursor.token.text);
  const compound = counting ?? /^([-+&|^])=$/.exec(cursor.token.text);
  if (compound !== null) cursor.next();
  else if (!cursor.accept('=')) cursor.fail(`"=" or "${end}"`);
  const right: Expression = counting === null ? parseExpression(cursor) : { kind: 'number', value: 1n };
  cursor.expect(end);
  const value: Expression = compound === null ? right : { kind: 'binary', operator: compound[1]!, left: first, right };
  return { kind: 'assign', to: first, value };
}

/** Binding strength of the binary operators. */
const strength: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '<=': 7,
  '>': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

export function parseExpression(cursor: Cursor, weakest = 1): Expression {
  let left = parseUnary(cursor);
  for (;;) {
    const operator = cursor.token.text;
    const binds = cursor.token.type === 'symbol' ? strength[operator] : undefined;
    if (cursor.is('?')) throw new UnsupportedConstruct('"?:" operator', cursor.token.line, cursor.token.column);
    if (binds === undefined || binds < weakest) return left;
    cursor.next();
    left = { kind: 'binary', operator, left, right: parseExpression(cursor, binds + 1) };
  }
}

function parseUnary(cursor: Cursor): Expression {
  return cursor.nested(() => parseOneUnary(cursor));
}

function parseOneUnary(cursor: Cursor): Expression {
  const { token } = cursor;
  if (cursor.accept('*')) return { kind: 'dereference', address: parseUnary(cursor) };
  if (cursor.accept('&')) return { kind: 'address', of: parseUnary(cursor) };
  if (cursor.accept('!') || cursor.accept('~') || cursor.accept('-')) {
    return { kind: 'unary', operator: token.text, operand: parseUnary(cursor) };
  }
  if (cursor.is('(') && isTypeWord(cursor.peek().text)) {
    cursor.next();
    skipType(cursor);
    cursor.expect(')');
    return parseUnary(cursor);
  }
  return parsePostfix(cursor);
}

function parsePostfix(cursor: Cursor): Expression {
  let expression = parsePrimary(cursor);
  for (;;) {
    if (cursor.accept('[')) {
      expression = { kind: 'index', base: expression, index: parseExpression(cursor) };
      cursor.expect(']');
    } else if (cursor.is('->') || cursor.is('.')) {
      const { text, line, column } = cursor.token;
      throw new UnsupportedConstruct(`"${text}" operator`, line, column);
    } else return expression;
  }
}

function parsePrimary(cursor: Cursor): Expression {
  if (cursor.token.type === 'number') return { kind: 'number', value: cursor.integer() };
  if (cursor.accept('(')) {
    const inner = parseExpression(cursor);
    cursor.expect(')');
    return inner;
  }
  const at = cursor.name('an expression');
  if (cursor.is('{')) throw new UnsupportedConstruct(`herd's own function ${at.text}{}`, at.line, at.column);
  if (!cursor.accept('(')) return { kind: 'name', name: at.text, at };
  const args: Expression[] = [];
  while (!cursor.is(')')) {
    args.push(parseExpression(cursor));
    if (!cursor.accept(',') && !cursor.is(')')) cursor.fail('"," or ")"');
  }
  cursor.expect(')');
  return { kind: 'call', name: at.text, arguments: args, at };
}
