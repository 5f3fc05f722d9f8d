/**
 * Operands of AArch64 instructions: registers, immediates, memory operands with their indexing, shifts and extensions.
 *
 * `W3` is the low half of `X3`; both live under the name `X3`, a write to the half clears the rest. `XZR` and `WZR`
 * read as zero and forget what is written.
 */
import { UnsupportedConstruct } from './errors.ts';
import { combine, constant, type Tainted, type ThreadRun, zero } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

export interface Register {
  /** `X0` .. `X30`, `SP`, or undefined for the zero register. */
  readonly name: string | undefined;
  /** 8 and 16: as much of it as a byte or halfword access moves. */
  readonly bits: 8 | 16 | 32 | 64;
}

export type Source = (thread: ThreadRun) => Tainted;

const registerPattern = /^([XW])([0-9]|[12][0-9]|30|ZR)$/;

export function registerOf(text: string): Register | undefined {
  const upper = text.toUpperCase();
  if (upper === 'SP') return { name: 'SP', bits: 64 };
  const match = registerPattern.exec(upper);
  if (match === null) return undefined;
  return { name: match[2] === 'ZR' ? undefined : `X${match[2]}`, bits: match[1] === 'X' ? 64 : 32 };
}

/** As the final condition names it. */
export function registerName(text: string): string {
  return registerOf(text)?.name ?? text;
}

export function isRegister(cursor: Cursor): boolean {
  if (cursor.is('%') || (/^[XW]$/i.test(cursor.token.text) && cursor.peek().text === '%')) return true;
  return cursor.token.type === 'name' && registerOf(cursor.token.text) !== undefined;
}

export function parseRegister(cursor: Cursor): Register {
  const symbolic = parseSymbolic(cursor);
  if (symbolic !== undefined) return symbolic;
  if (!isRegister(cursor)) cursor.fail('a register');
  return registerOf(cursor.next().text)!;
}

/** `X%a`, `W%a`, `%a`: a register that has a name instead of a number. */
function parseSymbolic(cursor: Cursor): Register | undefined {
  const prefix = cursor.token.text.toUpperCase();
  if (cursor.is('%')) cursor.next();
  else if ((prefix === 'X' || prefix === 'W') && cursor.peek().text === '%') {
    cursor.next();
    cursor.next();
  } else return undefined;
  return { name: cursor.name('a register').text, bits: prefix === 'W' ? 32 : 64 };
}

/** The register after this one, as it is written: X5 after X4. */
export function next(register: Register): { text: string; register: Register } {
  const text = `${register.bits === 64 ? 'X' : 'W'}${Number(register.name?.slice(1)) + 1}`;
  return { text, register: registerOf(text) ?? register };
}

export function getRegister(thread: ThreadRun, register: Register): Tainted {
  if (register.name === undefined) return zero;
  const held = thread.get(register.name);
  return register.bits === 64 ? held : { ...held, value: BigInt.asUintN(register.bits, held.value) };
}

export function setRegister(thread: ThreadRun, register: Register, value: Tainted): void {
  if (register.name === undefined) return;
  thread.set(register.name, { ...value, value: BigInt.asUintN(register.bits, value.value) });
}

export function parseImmediate(cursor: Cursor): bigint {
  cursor.accept('#');
  return cursor.integer();
}

/** A register, perhaps shifted or extended, or an immediate. */
export function parseSource(cursor: Cursor): Source {
  if (!isRegister(cursor)) {
    let value = parseImmediate(cursor);
    if (cursor.is(',') && cursor.peek().text.toUpperCase() === 'LSL') {
      cursor.next();
      cursor.next();
      value <<= parseImmediate(cursor);
    }
    return () => constant(value);
  }
  const register = parseRegister(cursor);
  if (!cursor.is(',')) return (thread) => getRegister(thread, register);
  cursor.next();
  const modify = parseModifier(cursor);
  return (thread) => {
    const held = getRegister(thread, register);
    return { ...held, value: modify(held.value) };
  };
}

/** How many bits an extension begins with, by its last letter. */
const extended: Readonly<Record<string, number>> = { B: 8, H: 16, W: 32 };

/** `LSL #2`, `SXTW`, `UXTW #2`: what is done to a register's value before use. */
function parseModifier(cursor: Cursor): (value: bigint) => bigint {
  const { text, line, column } = cursor.name('a shift or an extension');
  const amount = cursor.is('#') || cursor.token.type === 'number' ? parseImmediate(cursor) : 0n;
  switch (text.toUpperCase()) {
    case 'LSL':
    case 'UXTX':
    case 'SXTX':
      return (value) => BigInt.asUintN(64, value << amount);
    case 'LSR':
      return (value) => BigInt.asUintN(64, value) >> amount;
    case 'ASR':
      return (value) => BigInt.asUintN(64, BigInt.asIntN(64, value) >> amount);
    case 'SXTB':
    case 'SXTH':
    case 'SXTW':
      return (value) => BigInt.asUintN(64, BigInt.asIntN(extended[text.at(-1)!.toUpperCase()]!, value) << amount);
    case 'UXTB':
    case 'UXTH':
    case 'UXTW':
      return (value) => BigInt.asUintN(extended[text.at(-1)!.toUpperCase()]!, value) << amount;
    default:
      throw new UnsupportedConstruct(`operand modifier ${text}`, line, column);
  }
}

export interface MemoryOperand {
  /** The address, after any pre-index, and with any write-back of the base register done. */
  address(thread: ThreadRun): Tainted;
}

/** `[X1]`, `[X1,#8]`, `[X1,X2]`, `[X1,W2,SXTW #2]`, `[X1,#8]!`, `[X1],#8`. */
export function parseMemory(cursor: Cursor): MemoryOperand {
  const { type, text, line, column } = cursor.token;
  if (type === 'name' && registerOf(text) === undefined) {
    throw new UnsupportedConstruct(`access to the code at label ${text}`, line, column);
  }
  cursor.expect('[');
  const base = parseRegister(cursor);
  const offset: Source | undefined = cursor.accept(',') ? parseSource(cursor) : undefined;
  cursor.expect(']');
  if (cursor.accept('!')) {
    return {
      address(thread) {
        const address = sum(getRegister(thread, base), offset?.(thread) ?? zero);
        setRegister(thread, base, address);
        return address;
      },
    };
  }
  if (offset === undefined && cursor.is(',') && (cursor.peek().text === '#' || cursor.peek().type === 'number')) {
    cursor.next();
    const step = constant(parseImmediate(cursor));
    return {
      address(thread) {
        const address = getRegister(thread, base);
        setRegister(thread, base, sum(address, step));
        return address;
      },
    };
  }
  return {
    address: (thread) => {
      const address = getRegister(thread, base);
      return offset === undefined ? address : sum(address, offset(thread));
    },
  };
}

function sum(a: Tainted, b: Tainted): Tainted {
  return combine(BigInt.asUintN(64, a.value + b.value), a, b);
}
