/**
 * The proposition at the end of a litmus test, over final values of registers and memory:
 *
 *     exists (0:r1=1 /\ ~(x=2 \/ 1:X0=y))
 */

import { parseCodeLabel, parseNamedRegister } from './code-names.ts';
import { LitmusSyntaxError } from './errors.ts';
import type { MemoryMap, ValueType } from './memory-map.ts';
import type { Cursor } from './tokens.ts';
import { unknown } from './unknown.ts';

/** `0:r1`, or a memory location. */
export type FinalLocation =
  | { readonly kind: 'register'; readonly thread: number; readonly register: string }
  | { readonly kind: 'memory'; readonly address: bigint };

export type Condition =
  | { readonly kind: 'true' | 'false' }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Condition[] }
  | { readonly kind: 'not'; readonly operand: Condition }
  | { readonly kind: 'implies'; readonly left: Condition; readonly right: Condition }
  | {
      readonly kind: 'equal';
      readonly location: FinalLocation;
      readonly value: bigint | FinalLocation;
      /** How many bits are compared; undefined: a word or more, as the values need. */
      readonly bits: number | undefined;
    };

/** What a final state answers: the value of a location. */
export type FinalValue = (location: FinalLocation) => bigint;

/** What the names in a condition mean. */
export interface Scope {
  readonly memory: MemoryMap;
  /** How registers are named: `W3` is part of `X3`, `%eax` is `EAX`. */
  register(text: string): string;
  readonly registerTypes: ReadonlyMap<string, ValueType>;
  readonly threads: number;
}

export function parseCondition(cursor: Cursor, scope: Scope): Condition {
  const operands = [parseAnd(cursor, scope)];
  while (cursor.accept('\\/')) operands.push(parseAnd(cursor, scope));
  return operands.length === 1 ? operands[0]! : { kind: 'or', operands };
}

function parseAnd(cursor: Cursor, scope: Scope): Condition {
  const operands = [parseImplication(cursor, scope)];
  while (cursor.accept('/\\')) operands.push(parseImplication(cursor, scope));
  return operands.length === 1 ? operands[0]! : { kind: 'and', operands };
}

/** `=>` binds more tightly than `/\`, and to the right, as in herd: `a /\ b => c => d` is `a /\ (b => (c => d))`. */
function parseImplication(cursor: Cursor, scope: Scope): Condition {
  const left = parseNot(cursor, scope);
  if (!cursor.accept('=>')) return left;
  return { kind: 'implies', left, right: cursor.nested(() => parseImplication(cursor, scope)) };
}

function parseNot(cursor: Cursor, scope: Scope): Condition {
  if (cursor.accept('~') || cursor.accept('not')) {
    return { kind: 'not', operand: cursor.nested(() => parseNot(cursor, scope)) };
  }
  if (cursor.accept('(')) {
    const inner = cursor.nested(() => parseCondition(cursor, scope));
    cursor.expect(')');
    return inner;
  }
  if (cursor.accept('true')) return { kind: 'true' };
  if (cursor.accept('false')) return { kind: 'false' };
  return parseAtom(cursor, scope);
}

function parseAtom(cursor: Cursor, scope: Scope): Condition {
  const location = parseFinalLocation(cursor, scope);
  const differs = cursor.accept('!=') || cursor.accept('<>');
  if (!differs && !cursor.accept('==')) cursor.expect('=');
  if (cursor.is('{')) return parseArray(cursor, scope, location, differs);
  const value = parseValue(cursor, scope);
  const equal: Condition = { kind: 'equal', location, value, bits: bitsOf(location, scope) };
  return differs ? { kind: 'not', operand: equal } : equal;
}

/** `a={1,2}`: every element is as it says. */
function parseArray(cursor: Cursor, scope: Scope, array: FinalLocation, differs: boolean): Condition {
  cursor.expect('{');
  const operands: Condition[] = [];
  for (const location of elementsOf(array, scope.memory)) {
    if (operands.length > 0) cursor.expect(',');
    operands.push({ kind: 'equal', location, value: parseValue(cursor, scope), bits: bitsOf(location, scope) });
  }
  cursor.expect('}');
  const equal: Condition = { kind: 'and', operands };
  return differs ? { kind: 'not', operand: equal } : equal;
}

/** The elements of an array; anything else is its own only one. */
export function elementsOf(location: FinalLocation, memory: MemoryMap): FinalLocation[] {
  if (location.kind === 'register') return [location];
  return memory.elementsAt(location.address).map((address) => ({ kind: 'memory', address }));
}

/** A word, or a register of no declared type, may hold either more or less than it says. */
function bitsOf(location: FinalLocation, scope: Scope): number | undefined {
  const type = typeOf(location, scope);
  return type === undefined || type.bytes === 4 ? undefined : 8 * type.bytes;
}

function typeOf(location: FinalLocation, scope: Pick<Scope, 'memory' | 'registerTypes'>): ValueType | undefined {
  if (location.kind === 'memory') return scope.memory.typeAt(location.address);
  return scope.registerTypes.get(`${location.thread}:${location.register}`);
}

function parseValue(cursor: Cursor, scope: Scope): bigint | FinalLocation {
  const label = parseCodeLabel(cursor, scope.memory.code);
  if (label !== undefined) return label;
  if (cursor.peek().text === ':') return parseFinalLocation(cursor, scope);
  if (cursor.accept('*')) return { kind: 'memory', address: scope.memory.address(cursor.name('a location').text) };
  if (cursor.token.type === 'number' || cursor.is('-')) return cursor.integer();
  cursor.accept('&');
  return parseAddress(cursor, scope.memory, 'a number or a symbol');
}

/** `x`, `x[1]`, or `x` with a leading `*` or in brackets, as memory; `0:r1`, `P0:r1` or `%a` as a register. */
export function parseFinalLocation(cursor: Cursor, scope: Scope): FinalLocation {
  const named = parseNamedRegister(cursor, scope.memory.code);
  if (named !== undefined) return { kind: 'register', thread: named.thread, register: scope.register(named.name) };
  const { token } = cursor;
  if (token.type === 'number' || (/^P[0-9]+$/.test(token.text) && cursor.peek().text === ':')) {
    const thread = Number(token.text.replace('P', ''));
    if (thread >= scope.threads) cursor.fail(`a thread of the test (0 to ${scope.threads - 1})`);
    cursor.next();
    cursor.expect(':');
    cursor.accept('%');
    return { kind: 'register', thread, register: scope.register(cursor.name('a register').text) };
  }
  if (cursor.accept('*')) return { kind: 'memory', address: parseElement(cursor, scope.memory, 'a location') };
  if (cursor.accept('[')) {
    const address = parseElement(cursor, scope.memory, 'a location');
    cursor.expect(']');
    return { kind: 'memory', address };
  }
  return { kind: 'memory', address: parseElement(cursor, scope.memory, 'a register ("0:r1") or a location') };
}

/** `x` or `x[1]` as a place that holds a value: `a[2]` is none in an array of two. */
function parseElement(cursor: Cursor, memory: MemoryMap, what: string): bigint {
  const { text } = cursor.token;
  const index = cursor.peek(2);
  if (cursor.peek().text === '[' && index.type === 'number' && Number(index.text) >= memory.elements(text)) {
    throw new LitmusSyntaxError(
      index.line,
      index.column,
      `an element of ${text} (0 to ${memory.elements(text) - 1})`,
      JSON.stringify(index.text),
    );
  }
  return parseAddress(cursor, memory, what);
}

/** `x` or `x[1]`. */
export function parseAddress(cursor: Cursor, memory: MemoryMap, what: string): bigint {
  const { text } = cursor.name(what);
  const base = memory.address(text);
  if (!cursor.is('[') || cursor.peek().type !== 'number') return base;
  cursor.next();
  const index = cursor.integer();
  cursor.expect(']');
  return base + index * BigInt(memory.type(text).bytes);
}

export function holds(condition: Condition, final: FinalValue): boolean {
  switch (condition.kind) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'and':
      return condition.operands.every((operand) => holds(operand, final));
    case 'or':
      return condition.operands.some((operand) => holds(operand, final));
    case 'not':
      return !holds(condition.operand, final);
    case 'implies':
      return !holds(condition.left, final) || holds(condition.right, final);
    case 'equal': {
      const right = typeof condition.value === 'bigint' ? condition.value : final(condition.value);
      return sameValue(final(condition.location), right, condition.bits);
    }
  }
}

/** The values that a location may have in the end; undefined: any. */
export type PossibleValues = (location: FinalLocation) => readonly bigint[] | undefined;

/** May the condition turn out to be `wanted`? A "no" is certain, a "yes" is not. */
export function mayBe(wanted: boolean, condition: Condition, possible: PossibleValues): boolean {
  switch (condition.kind) {
    case 'true':
    case 'false':
      return (condition.kind === 'true') === wanted;
    case 'and':
    case 'or': {
      const all = (condition.kind === 'and') === wanted;
      const may = (operand: Condition): boolean => mayBe(wanted, operand, possible);
      return all ? condition.operands.every(may) : condition.operands.some(may);
    }
    case 'not':
      return mayBe(!wanted, condition.operand, possible);
    case 'implies':
      return wanted
        ? mayBe(false, condition.left, possible) || mayBe(true, condition.right, possible)
        : mayBe(true, condition.left, possible) && mayBe(false, condition.right, possible);
    case 'equal': {
      const left = possible(condition.location);
      const right = typeof condition.value === 'bigint' ? [condition.value] : possible(condition.value);
      if (left === undefined || right === undefined) return true;
      return left.some((a) => right.some((b) => sameValue(a, b, condition.bits) === wanted));
    }
  }
}

/** Two's complement knows no sign: -1 and 0xffffffff are one word. */
function sameValue(a: bigint, b: bigint, bits: number | undefined): boolean {
  if (a === unknown || b === unknown) return a === b;
  if (a === b || BigInt.asUintN(64, a) === BigInt.asUintN(64, b)) return true;
  if (bits !== undefined) return bits < 64 && BigInt.asUintN(bits, a) === BigInt.asUintN(bits, b);
  return BigInt.asUintN(32, a) === BigInt.asUintN(32, b) && isWord(a) && isWord(b);
}

function isWord(value: bigint): boolean {
  return value >= -0x8000_0000n && value <= 0xffff_ffffn;
}

/** The locations a condition mentions. */
export function mentioned(condition: Condition): FinalLocation[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.operands.flatMap(mentioned);
    case 'not':
      return mentioned(condition.operand);
    case 'implies':
      return [...mentioned(condition.left), ...mentioned(condition.right)];
    case 'equal':
      return typeof condition.value === 'bigint' ? [condition.location] : [condition.location, condition.value];
    default:
      return [];
  }
}
