/**
 * Operands of x86 instructions, in the two notations of herd's catalogues: Intel's order with `[x]` for memory (X86), and
 * AT&T's with `%` before registers and `(x)` for memory (X86_64). Here the destination is always first.
 *
 * `%eax`, `%ax`, `%al` and `%ah` are parts of `%rax`. A write to a 32-bit half clears the other half, and one to a
 * smaller part leaves the rest as it was.
 */
import { UnsupportedConstruct } from './errors.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

export interface Register {
  /** Of the whole, of which this may be a part. */
  readonly name: string;
  readonly bits: number;
  /** Where the part begins: 8 for AH and its kin. */
  readonly shift: number;
}

export type Operand =
  | { readonly kind: 'immediate'; readonly value: bigint }
  | { readonly kind: 'register'; readonly register: Register }
  | { readonly kind: 'memory'; readonly address: (thread: ThreadRun) => Tainted };

export type Notation = 'intel' | 'att';

interface Part {
  readonly family: string;
  readonly bits: number;
  readonly shift: number;
}

const parts: ReadonlyMap<string, Part> = new Map<string, Part>([
  ...['a', 'b', 'c', 'd'].flatMap((letter) => {
    const family = `r${letter}x`;
    return [
      ...whole(family, [`r${letter}x`, `e${letter}x`, `${letter}x`, `${letter}l`]),
      [`${letter}h`, { family, bits: 8, shift: 8 }] as const,
    ];
  }),
  ...['si', 'di', 'sp', 'bp'].flatMap((name) => whole(`r${name}`, [`r${name}`, `e${name}`, name, `${name}l`])),
  ...[8, 9, 10, 11, 12, 13, 14, 15].flatMap((n) => whole(`r${n}`, [`r${n}`, `r${n}d`, `r${n}w`, `r${n}b`])),
]);

function whole(family: string, names: readonly string[]): (readonly [string, Part])[] {
  return names.map((name, at) => [name, { family, bits: 64 >> at, shift: 0 }]);
}

/** In the catalogue of Intel's order registers are of 32 bits, and called so: RAX and EAX are one. */
function registerOf(text: string, notation: Notation): Register | undefined {
  const part = parts.get(text.toLowerCase());
  if (part === undefined) return undefined;
  const { family, bits, shift } = part;
  if (notation === 'att') return { name: family, bits, shift };
  const name = /^r[0-9]/.test(family) ? family.toUpperCase() : family.toUpperCase().replace('R', 'E');
  return { name, bits: Math.min(bits, 32), shift };
}

/** As the final condition names it. */
export function registerName(text: string, notation: Notation): string {
  return registerOf(text, notation)?.name ?? text;
}

export function parseOperand(cursor: Cursor, memory: MemoryMap, notation: Notation): Operand {
  if (cursor.accept('$')) return immediate(parseConstant(cursor, memory));
  if (cursor.is('%') && !isSegment(cursor)) return { kind: 'register', register: parseRegister(cursor, notation) };
  if (notation === 'att') return parseAttMemory(cursor, memory);
  if (cursor.accept('[')) {
    const address = parseIntelAddress(cursor, memory);
    cursor.expect(']');
    return address;
  }
  const register = cursor.token.type === 'name' ? registerOf(cursor.token.text, notation) : undefined;
  if (register === undefined) return immediate(parseConstant(cursor, memory));
  cursor.next();
  return { kind: 'register', register };
}

function immediate(value: bigint): Operand {
  return { kind: 'immediate', value };
}

function parseConstant(cursor: Cursor, memory: MemoryMap): bigint {
  if (cursor.token.type === 'number' || cursor.is('-')) return cursor.integer();
  return memory.address(cursor.name('an operand').text);
}

/** `%eax`, or a register of any other name, which is whole. */
export function parseRegister(cursor: Cursor, notation: Notation): Register {
  cursor.accept('%');
  const { text, line, column } = cursor.name('a register');
  const register = registerOf(text, notation);
  if (register !== undefined) return register;
  if (/^(?:[xyz]?mm|st|cr|dr|[cdefgs]s)[0-9]*$/i.test(text)) {
    throw new UnsupportedConstruct(`register ${text}`, line, column);
  }
  return { name: text, bits: notation === 'att' ? 64 : 32, shift: 0 };
}

/** `[x]`, `[x+4]`, `[EAX]`, `[EAX+4]`. */
function parseIntelAddress(cursor: Cursor, memory: MemoryMap): Operand {
  if (cursor.is('%') || registerOf(cursor.token.text, 'intel') !== undefined) {
    const base = parseRegister(cursor, 'intel');
    const offset = cursor.accept('+') ? cursor.integer() : cursor.is('-') ? cursor.integer() : 0n;
    return deref(offset, base, undefined, 1n);
  }
  const symbol = parseConstant(cursor, memory);
  return deref(symbol + (cursor.accept('+') ? cursor.integer() : 0n), undefined, undefined, 1n);
}

/** A segment that is not moved, in front of an address: `%cs:`. */
function isSegment(cursor: Cursor): boolean {
  return /^[cde]s$/i.test(cursor.peek().text) && cursor.peek(2).text === ':';
}

/** `(x)`, `x`, `x(%rip)`, `8(%rax)`, `(%rax,%rbx,8)`; a number alone is an immediate, as herd has it. */
function parseAttMemory(cursor: Cursor, memory: MemoryMap): Operand {
  if (isSegment(cursor)) for (let skipped = 0; skipped < 3; skipped++) cursor.next();
  let offset = 0n;
  if (cursor.token.type === 'number' || cursor.is('-')) {
    offset = cursor.integer();
    if (!cursor.is('(') && !cursor.is('[')) return immediate(offset);
  } else if (cursor.token.type === 'name') {
    offset = memory.address(cursor.next().text);
    if (cursor.accept('+')) offset += cursor.integer();
  }
  const close = cursor.is('[') ? ']' : ')';
  if (!cursor.accept('(') && !cursor.accept('[')) {
    if (offset === 0n) cursor.fail('an operand');
    return deref(offset, undefined, undefined, 1n);
  }
  if (cursor.token.type === 'name' || cursor.token.type === 'number') {
    offset += parseConstant(cursor, memory);
    cursor.expect(close);
    return deref(offset, undefined, undefined, 1n);
  }
  let base: Register | undefined;
  let index: Register | undefined;
  let scale = 1n;
  if (!cursor.is(',')) {
    base = cursor.peek().text.toLowerCase() === 'rip' ? undefined : parseRegister(cursor, 'att');
    if (base === undefined) for (let skipped = 0; skipped < 2; skipped++) cursor.next();
  }
  if (cursor.accept(',')) {
    index = parseRegister(cursor, 'att');
    if (cursor.accept(',')) scale = cursor.integer();
  }
  cursor.expect(close);
  return deref(offset, base, index, scale);
}

function deref(offset: bigint, base: Register | undefined, index: Register | undefined, scale: bigint): Operand {
  if (base === undefined && index === undefined) {
    const address = constant(offset);
    return { kind: 'memory', address: () => address };
  }
  return {
    kind: 'memory',
    address: (thread) => {
      const start = base === undefined ? constant(0n) : getRegister(thread, base);
      const by = index === undefined ? constant(0n) : getRegister(thread, index);
      return combine(BigInt.asUintN(64, offset + start.value + by.value * scale), start, by);
    },
  };
}

export function getRegister(thread: ThreadRun, register: Register): Tainted {
  const held = thread.get(register.name);
  return { ...held, value: BigInt.asUintN(register.bits, held.value >> BigInt(register.shift)) };
}

export function setRegister(thread: ThreadRun, register: Register, value: Tainted): void {
  const { name, bits, shift } = register;
  const part = BigInt.asUintN(bits, value.value);
  if (bits >= 32) {
    thread.set(name, { ...value, value: part });
    return;
  }
  const held = thread.get(name);
  const mask = ((1n << BigInt(bits)) - 1n) << BigInt(shift);
  const merged = (BigInt.asUintN(64, held.value) & ~mask) | (part << BigInt(shift));
  thread.set(name, combine(merged, held, value));
}
