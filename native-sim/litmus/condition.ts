/**
 * The proposition at the end of a litmus test, over final values of registers and memory:
 *
 *     exists (0:r1=1 /\ ~(x=2 \/ 1:X0=y))
 */

import type { MemoryMap } from './test-file.ts';
import type { Cursor } from './tokens.ts';

/** `0:r1`, or a memory location. */
export type FinalLocation =
  | { readonly kind: 'register'; readonly thread: number; readonly register: string }
  | { readonly kind: 'memory'; readonly address: bigint };

export type Condition =
  | { readonly kind: 'true' | 'false' }
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly operand: Condition }
  | { readonly kind: 'equal'; readonly location: FinalLocation; readonly value: bigint | FinalLocation };

/** What a final state answers: the value of a location. */
export type FinalValue = (location: FinalLocation) => bigint;

/** How registers are named: `W3` is part of `X3`, `%eax` is `EAX`. */
export type RegisterName = (text: string) => string;

export function parseCondition(cursor: Cursor, memory: MemoryMap, register: RegisterName): Condition {
  return parseOr(cursor, memory, register);
}

function parseOr(cursor: Cursor, memory: MemoryMap, register: RegisterName): Condition {
  let left = parseAnd(cursor, memory, register);
  while (cursor.accept('\\/')) left = { kind: 'or', left, right: parseAnd(cursor, memory, register) };
  return left;
}

function parseAnd(cursor: Cursor, memory: MemoryMap, register: RegisterName): Condition {
  let left = parseNot(cursor, memory, register);
  while (cursor.accept('/\\')) left = { kind: 'and', left, right: parseNot(cursor, memory, register) };
  return left;
}

function parseNot(cursor: Cursor, memory: MemoryMap, register: RegisterName): Condition {
  if (cursor.accept('~') || cursor.accept('not')) {
    return { kind: 'not', operand: parseNot(cursor, memory, register) };
  }
  if (cursor.accept('(')) {
    const inner = parseOr(cursor, memory, register);
    cursor.expect(')');
    return inner;
  }
  if (cursor.accept('true')) return { kind: 'true' };
  if (cursor.accept('false')) return { kind: 'false' };
  return parseAtom(cursor, memory, register);
}

function parseAtom(cursor: Cursor, memory: MemoryMap, register: RegisterName): Condition {
  const location = parseFinalLocation(cursor, memory, register);
  const differs = cursor.accept('!=') || cursor.accept('<>');
  if (!differs && !cursor.accept('==')) cursor.expect('=');
  const value = parseValue(cursor, memory, register);
  const equal: Condition = { kind: 'equal', location, value };
  return differs ? { kind: 'not', operand: equal } : equal;
}

function parseValue(cursor: Cursor, memory: MemoryMap, register: RegisterName): bigint | FinalLocation {
  if (cursor.token.type === 'number' && cursor.peek().text === ':') return parseFinalLocation(cursor, memory, register);
  if (cursor.accept('*')) return { kind: 'memory', address: memory.address(cursor.name('a location').text) };
  if (cursor.token.type === 'number' || cursor.is('-')) return cursor.integer();
  cursor.accept('&');
  return parseAddress(cursor, memory, 'a number or a symbol');
}

/** `x`, `x[1]`, or `x` with a leading `*` or in brackets, as memory; `0:r1` as a register. */
export function parseFinalLocation(cursor: Cursor, memory: MemoryMap, register: RegisterName): FinalLocation {
  if (cursor.token.type === 'number') {
    const thread = Number(cursor.integer());
    cursor.expect(':');
    cursor.accept('%');
    return { kind: 'register', thread, register: register(cursor.name('a register').text) };
  }
  if (cursor.token.text === 'P' || /^P[0-9]+$/.test(cursor.token.text)) {
    if (cursor.peek().text === ':') {
      const thread = Number(cursor.next().text.slice(1));
      cursor.expect(':');
      return { kind: 'register', thread, register: register(cursor.name('a register').text) };
    }
  }
  if (cursor.accept('*')) return { kind: 'memory', address: parseAddress(cursor, memory, 'a location') };
  if (cursor.accept('[')) {
    const address = parseAddress(cursor, memory, 'a location');
    cursor.expect(']');
    return { kind: 'memory', address };
  }
  return { kind: 'memory', address: parseAddress(cursor, memory, 'a register ("0:r1") or a location') };
}

/** `x` or `x[1]`. */
export function parseAddress(cursor: Cursor, memory: MemoryMap, what: string): bigint {
  const { text } = cursor.name(what);
  const base = memory.address(text);
  if (!cursor.is('[') || cursor.peek().type !== 'number') return base;
  cursor.next();
  const index = cursor.integer();
  cursor.expect(']');
  return base + index * BigInt(memory.elementSize(text));
}

export function holds(condition: Condition, final: FinalValue): boolean {
  switch (condition.kind) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'and':
      return holds(condition.left, final) && holds(condition.right, final);
    case 'or':
      return holds(condition.left, final) || holds(condition.right, final);
    case 'not':
      return !holds(condition.operand, final);
    case 'equal': {
      const right = typeof condition.value === 'bigint' ? condition.value : final(condition.value);
      return sameValue(final(condition.location), right);
    }
  }
}

/** 32-bit registers know no sign: -1 and 0xffffffff are one value. */
function sameValue(a: bigint, b: bigint): boolean {
  return a === b || (BigInt.asUintN(32, a) === BigInt.asUintN(32, b) && isWord(a) && isWord(b));
}

function isWord(value: bigint): boolean {
  return value >= -0x8000_0000n && value <= 0xffff_ffffn;
}

/** The locations a condition mentions. */
export function mentioned(condition: Condition): FinalLocation[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...mentioned(condition.left), ...mentioned(condition.right)];
    case 'not':
      return mentioned(condition.operand);
    case 'equal':
      return typeof condition.value === 'bigint' ? [condition.location] : [condition.location, condition.value];
    default:
      return [];
  }
}
