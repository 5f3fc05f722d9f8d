/**
 * The initial state of a litmus test: `{ int x = 1; int *p = &x; int a[2] = {1, 2}; atomic_t v = ATOMIC_INIT(1); 0:X1=x; }`.
 */

import { isTypeWord } from './c-syntax.ts';
import type { RegisterName } from './condition.ts';
import type { MemoryMap } from './test-file.ts';
import type { Cursor } from './tokens.ts';

export interface InitialState {
  readonly memory: Map<bigint, bigint>;
  /** By thread. */
  readonly registers: Map<number, Map<string, bigint>>;
}

/** Sizes of the types that are not four bytes. */
const sizes: Readonly<Record<string, number>> = {
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
  const state: InitialState = { memory: new Map(), registers: new Map() };
  while (!cursor.accept('}')) {
    if (cursor.accept(';')) continue;
    parseEntry(cursor, memory, register, state);
    if (!cursor.is('}')) cursor.expect(';');
  }
  return state;
}

function parseEntry(cursor: Cursor, memory: MemoryMap, register: RegisterName, state: InitialState): void {
  const size = parseType(cursor);
  if (cursor.token.type === 'number' || (/^P[0-9]+$/.test(cursor.token.text) && cursor.peek().text === ':')) {
    const thread = Number(cursor.next().text.replace('P', ''));
    cursor.expect(':');
    cursor.accept('%');
    const name = register(cursor.name('a register').text);
    const value = cursor.accept('=') ? parseInitialValue(cursor, memory) : 0n;
    let registers = state.registers.get(thread);
    if (registers === undefined) state.registers.set(thread, (registers = new Map()));
    registers.set(name, value);
    return;
  }
  const bracketed = cursor.accept('[');
  const { text } = cursor.name('a location, a register ("0:r1") or "}"');
  if (bracketed) cursor.expect(']');
  let elements = 1;
  let element = 0n;
  let isElement = false;
  if (cursor.accept('[')) {
    const count = cursor.is(']') ? 0n : cursor.integer();
    cursor.expect(']');
    isElement = size === undefined;
    if (isElement) element = count;
    else elements = Number(count);
  }
  if (size !== undefined) memory.declare(text, elements, size);
  const base = memory.address(text);
  if (isElement && Number(element) >= memory.elements(text)) {
    memory.declare(text, Number(element) + 1, memory.elementSize(text));
  }
  if (!cursor.accept('=')) return;
  if (cursor.accept('{')) {
    for (let index = 0; !cursor.accept('}'); index++) {
      state.memory.set(base + BigInt(index * memory.elementSize(text)), parseInitialValue(cursor, memory));
      if (index >= memory.elements(text)) memory.declare(text, index + 1, memory.elementSize(text));
      if (!cursor.accept(',') && !cursor.is('}')) cursor.fail('"," or "}"');
    }
  } else {
    const value = parseInitialValue(cursor, memory);
    const fits = size === undefined || size >= 4 ? value : BigInt.asIntN(8 * size, value);
    state.memory.set(base + element * BigInt(memory.elementSize(text)), fits);
  }
}

/** The size of the type that stands here, or undefined where there is none. */
function parseType(cursor: Cursor): number | undefined {
  let size: number | undefined;
  while (isTypeWord(cursor.token.text) || cursor.is('*')) {
    const { text } = cursor.next();
    size = text === '*' ? 8 : (sizes[text] ?? size ?? 4);
    if (text === 'struct' && cursor.token.type === 'name' && cursor.peek().type === 'name') cursor.next();
  }
  return size;
}

function parseInitialValue(cursor: Cursor, memory: MemoryMap): bigint {
  if (cursor.accept('(')) {
    while (isTypeWord(cursor.token.text) || cursor.is('*')) cursor.next();
    if (cursor.accept(')')) return parseInitialValue(cursor, memory);
    const value = parseInitialValue(cursor, memory);
    cursor.expect(')');
    return value;
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
  return base + index * BigInt(memory.elementSize(text));
}
