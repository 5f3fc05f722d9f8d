/**
 * The initial state of a litmus test: `{ int x = 1; int *p = &x; int a[2] = {1, 2}; atomic_t v = ATOMIC_INIT(1); 0:X1=x; }`.
 */

import { isTypeWord } from './c-syntax.ts';
import { parseCodeLabel, parseNamedRegister } from './code-names.ts';
import { int, type MemoryMap, type ValueType } from './memory-map.ts';
import type { Cursor } from './tokens.ts';

type RegisterName = (text: string) => string;

export interface InitialState {
  /** By thread. */
  readonly registers: Map<number, Map<string, bigint>>;
  /** The types of those that have one, by `0:X1`. */
  readonly registerTypes: Map<string, ValueType>;
}

/** Sizes of the types that are not four bytes. */
const sizes: Readonly<Record<string, number>> = {
  __int128: 16,
  __int128_t: 16,
  __uint128_t: 16,
  ptrdiff_t: 8,
  atomic_long: 8,
  atomic_ulong: 8,
  atomic_long_t: 8,
  atomic64_t: 8,
  long: 8,
  uint64_t: 8,
  int64_t: 8,
  u64: 8,
  uintptr_t: 8,
  intptr_t: 8,
  size_t: 8,
  short: 2,
  uint16_t: 2,
  int16_t: 2,
  u16: 2,
  char: 1,
  uint8_t: 1,
  int8_t: 1,
  u8: 1,
};

/** Reads from after `{` up to and including `}`. */
export function parseInitialState(cursor: Cursor, memory: MemoryMap, register: RegisterName): InitialState {
  const state: InitialState = { registers: new Map(), registerTypes: new Map() };
  while (!cursor.accept('}')) {
    if (cursor.accept(';')) continue;
    parseEntry(cursor, memory, register, state);
    if (!cursor.is('}')) cursor.expect(';');
  }
  return state;
}

function parseEntry(cursor: Cursor, memory: MemoryMap, register: RegisterName, state: InitialState): void {
  const type = parseType(cursor);
  const named = parseNamedRegister(cursor, memory.code);
  if (named !== undefined) {
    parseRegisterEntry(cursor, memory, named.thread, register(named.name), type, state);
    return;
  }
  if (cursor.token.type === 'number' || (/^P[0-9]+$/.test(cursor.token.text) && cursor.peek().text === ':')) {
    const thread = Number(cursor.next().text.replace('P', ''));
    cursor.expect(':');
    cursor.accept('%');
    parseRegisterEntry(cursor, memory, thread, register(cursor.name('a register').text), type, state);
    return;
  }
  const bracketed = cursor.accept('[');
  const { text } = cursor.name('a location, a register ("0:r1") or "}"');
  if (bracketed) cursor.expect(']');
  let elements = 1;
  if (cursor.is('[')) {
    // `a[1] = 2` would be one element, and herd, too, takes arrays as a whole only.
    if (type === undefined) cursor.fail('"=" (an array has its type before it, and its values in braces)');
    cursor.next();
    elements = cursor.is(']') ? 0 : Number(cursor.integer());
    cursor.expect(']');
  }
  if (type !== undefined) memory.declare(text, elements, type);
  const base = memory.address(text);
  if (!cursor.accept('=')) return;
  if (cursor.accept('{')) {
    for (let index = 0; !cursor.accept('}'); index++) {
      memory.setInitial(base + BigInt(index * memory.type(text).bytes), parseInitialValue(cursor, memory));
      if (index >= memory.elements(text)) memory.declare(text, index + 1, memory.type(text));
      if (!cursor.accept(',') && !cursor.is('}')) cursor.fail('"," or "}"');
    }
  } else {
    const value = parseInitialValue(cursor, memory);
    const fits = type === undefined || type.bytes >= 4 ? value : BigInt.asIntN(8 * type.bytes, value);
    memory.setInitial(base, fits);
  }
}

/** After the register's name: `= 1`, or nothing. */
function parseRegisterEntry(
  cursor: Cursor,
  memory: MemoryMap,
  thread: number,
  name: string,
  type: ValueType | undefined,
  state: InitialState,
): void {
  const value = cursor.accept('=') ? parseInitialValue(cursor, memory) : 0n;
  let registers = state.registers.get(thread);
  if (registers === undefined) state.registers.set(thread, (registers = new Map()));
  registers.set(name, value);
  if (type !== undefined) state.registerTypes.set(`${thread}:${name}`, type);
}

/** The type that stands here, or undefined where there is none. */
function parseType(cursor: Cursor): ValueType | undefined {
  let type: ValueType | undefined;
  let signed = true;
  while (isTypeWord(cursor.token.text) || cursor.is('*')) {
    const { text } = cursor.next();
    if (/^(?:unsigned|u(?:int)?[0-9]|__uint|atomic_u|uintptr_t|size_t)/.test(text)) signed = false;
    const bytes = text === '*' ? 8 : (sizes[text] ?? type?.bytes ?? int.bytes);
    type = { bytes, signed };
    if (text === 'struct' && cursor.token.type === 'name' && cursor.peek().type === 'name') cursor.next();
  }
  return type;
}

function parseInitialValue(cursor: Cursor, memory: MemoryMap): bigint {
  if (cursor.accept('(')) {
    while (isTypeWord(cursor.token.text) || cursor.is('*')) cursor.next();
    if (cursor.accept(')')) return parseInitialValue(cursor, memory);
    const value = parseInitialValue(cursor, memory);
    cursor.expect(')');
    return value;
  }
  const label = parseCodeLabel(cursor, memory.code);
  if (label !== undefined) return label;
  if (/^P?[0-9]+$/.test(cursor.token.text) && cursor.peek().text === ':') {
    cursor.at += 2;
    cursor.fail('a label of that thread');
  }
  if (cursor.token.type === 'number' || cursor.is('-')) return cursor.integer();
  cursor.accept('&');
  const { text } = cursor.name('a number or a symbol');
  if (/^(?:ATOMIC_INIT|ATOMIC_LONG_INIT)$/.test(text)) {
    cursor.expect('(');
    const value = cursor.integer();
    cursor.expect(')');
    return value;
  }
  const base = memory.address(text);
  if (!cursor.accept('[')) return base;
  const index = cursor.integer();
  cursor.expect(']');
  return base + index * BigInt(memory.type(text).bytes);
}
