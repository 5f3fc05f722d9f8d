/**
 * AArch64 instructions that calculate: arithmetic and logic, shifts, bit fields, comparisons that set the flags.
 */
import {
  getRegister,
  parseImmediate,
  parseRegister,
  parseSource,
  type Register,
  setRegister,
} from './aarch64-operands.ts';
import type { Step } from './assembly.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

/** The condition flags live in a register of their own: bits N Z C V, from high to low. */
export const flags = 'NZCV';

const binary: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  ADD: (a, b) => a + b,
  SUB: (a, b) => a - b,
  EOR: (a, b) => a ^ b,
  ORR: (a, b) => a | b,
  AND: (a, b) => a & b,
  BIC: (a, b) => a & ~b,
  ORN: (a, b) => a | ~b,
  EON: (a, b) => a ^ ~b,
  MUL: (a, b) => a * b,
};

/** Shifts, whose amount counts modulo the width, and ASR looks at the sign. */
const shifts: Readonly<Record<string, (a: bigint, by: bigint, bits: number) => bigint>> = {
  LSL: (a, by) => a << by,
  LSR: (a, by) => a >> by,
  ASR: (a, by, bits) => BigInt.asIntN(bits, a) >> by,
  ROR: (a, by, bits) => (a >> by) | (a << (BigInt(bits) - by)),
};

export function registerInstruction(name: string, cursor: Cursor): Step | undefined {
  switch (name) {
    case 'MOV':
    case 'MOVZ':
    case 'MOVN':
    case 'NEG':
    case 'NEGS':
    case 'UXTB':
    case 'UXTH':
    case 'UXTW':
    case 'SXTB':
    case 'SXTH':
    case 'SXTW':
    case 'MVN': {
      const to = parseRegister(cursor);
      cursor.expect(',');
      const from = parseSource(cursor);
      return (thread) => {
        const held = from(thread);
        if (name === 'NEGS') setFlags(thread, 'SUB', constant(0n), held, to.bits);
        setRegister(thread, to, { ...held, value: converted(name, held.value) });
        return undefined;
      };
    }
    case 'CMP':
    case 'CMN':
    case 'TST': {
      const left = parseRegister(cursor);
      cursor.expect(',');
      const right = parseSource(cursor);
      const operation = name === 'CMP' ? 'SUB' : name === 'CMN' ? 'ADD' : 'AND';
      return (thread) => {
        setFlags(thread, operation, getRegister(thread, left), right(thread), left.bits);
        return undefined;
      };
    }
    case 'MOVK':
      return moveKeep(cursor);
    case 'EXTR':
      return extract(cursor);
  }
  const bitfield = moveBitfield(name, cursor) ?? multiplyAdd(name, cursor);
  if (bitfield !== undefined) return bitfield;
  const change = unary[name];
  if (change !== undefined) return unaryInstruction(change, cursor);
  const shift = shifts[name.replace(/V$/, '')];
  if (shift !== undefined) return shiftRegister(shift, cursor);
  const plain = name.endsWith('S') && binary[name] === undefined ? name.slice(0, -1) : name;
  if (binary[plain] === undefined) return undefined;
  return arithmetic(plain, plain !== name, cursor);
}

function converted(name: string, value: bigint): bigint {
  const extension = /^([SU])XT([BHW])$/.exec(name);
  if (extension !== null) {
    const bits = { B: 8, H: 16, W: 32 }[extension[2]!]!;
    return extension[1] === 'S' ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  }
  if (name === 'NEG' || name === 'NEGS') return -value;
  return name === 'MVN' || name === 'MOVN' ? ~value : value;
}

/** `MOVK X0,#5,LSL #16`: sixteen bits of the register are replaced, the rest stays. */
function moveKeep(cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const bits = parseImmediate(cursor);
  let by = 0n;
  if (cursor.accept(',')) {
    if (cursor.token.text.toUpperCase() !== 'LSL') cursor.fail('LSL');
    cursor.next();
    by = parseImmediate(cursor);
  }
  const mask = 0xffffn << by;
  return (thread) => {
    const held = getRegister(thread, to);
    setRegister(thread, to, { ...held, value: (held.value & ~mask) | (bits << by) });
    return undefined;
  };
}

/**
 * UBFM, SBFM and BFM, of which most shifts and extensions are aliases: bits `lsb` to `msb`, moved down, or up around the
 * end. UBFX and its kin say where the field begins and how wide it is. BFM and its aliases leave the other bits.
 */
function moveBitfield(name: string, cursor: Cursor): Step | undefined {
  const match = /^(?:([US])BF(M|X|IZ)|BF(M|I|XIL))$/.exec(name);
  if (match === null) return undefined;
  const [, sign, spread, inserted] = match;
  const kind = spread ?? inserted;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const from = parseRegister(cursor);
  cursor.expect(',');
  const first = parseImmediate(cursor);
  cursor.expect(',');
  const second = parseImmediate(cursor);
  const bits = BigInt(to.bits);
  const up = kind === 'IZ' || kind === 'I';
  const [lsb, msb] =
    kind === 'M' ? [first, second] : up ? [(bits - first) % bits, second - 1n] : [first, first + second - 1n];
  const width = Number(msb >= lsb ? msb - lsb + 1n : msb + 1n);
  const at = msb >= lsb ? 0n : bits - lsb;
  const field = (value: bigint): bigint => {
    const cutOut = msb >= lsb ? value >> lsb : value;
    return (sign === 'S' ? BigInt.asIntN(width, cutOut) : BigInt.asUintN(width, cutOut)) << at;
  };
  const mask = ((1n << BigInt(width)) - 1n) << at;
  return (thread) => {
    const held = getRegister(thread, from);
    const moved = field(held.value);
    if (sign !== undefined) setRegister(thread, to, { ...held, value: moved });
    else {
      const old = getRegister(thread, to);
      setRegister(thread, to, combine((old.value & ~mask) | moved, old, held));
    }
    return undefined;
  };
}

/** MADD and MSUB, and the forms that multiply words into a double word; without an addend, MUL's kin. */
function multiplyAdd(name: string, cursor: Cursor): Step | undefined {
  const match = /^([SU]?)M(ADD|SUB|UL|NEG)(L?)$/.exec(name);
  if (match === null || (match[1] === '') !== (match[3] === '') || name === 'MUL') return undefined;
  const registers = [parseRegister(cursor)];
  while (cursor.accept(',')) registers.push(parseRegister(cursor));
  const hasAddend = match[2] === 'ADD' || match[2] === 'SUB';
  if (registers.length !== (hasAddend ? 4 : 3)) cursor.fail('an operand');
  const [to, left, right, addend] = registers as [Register, Register, Register, Register?];
  const extended = (value: bigint): bigint => (match[1] === 'S' ? BigInt.asIntN(32, value) : value);
  const negative = match[2] === 'SUB' || match[2] === 'NEG';
  return (thread) => {
    const a = getRegister(thread, left);
    const b = getRegister(thread, right);
    const c = addend === undefined ? constant(0n) : getRegister(thread, addend);
    const product = extended(a.value) * extended(b.value);
    setRegister(thread, to, combine(negative ? c.value - product : c.value + product, a, b, c));
    return undefined;
  };
}

/** `EXTR X0,X1,X2,#8`: a register's width of the two taken as one, from bit 8 on. */
function extract(cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const high = parseRegister(cursor);
  cursor.expect(',');
  const low = parseRegister(cursor);
  cursor.expect(',');
  const from = parseImmediate(cursor);
  return (thread) => {
    const a = getRegister(thread, high);
    const b = getRegister(thread, low);
    setRegister(thread, to, combine(((a.value << BigInt(to.bits)) | b.value) >> from, a, b));
    return undefined;
  };
}

/** The register's groups of `size` bits, in reverse. */
function reversed(value: bigint, bits: number, size: number): bigint {
  let result = 0n;
  for (let at = 0; at < bits; at += size) {
    result = (result << BigInt(size)) | BigInt.asUintN(size, value >> BigInt(at));
  }
  return result;
}

/** Bytes in reverse within every group of `within` bits. */
function reversedWithin(value: bigint, bits: number, within: number): bigint {
  let result = 0n;
  for (let at = 0; at < bits; at += within) {
    result |= reversed(BigInt.asUintN(within, value >> BigInt(at)), within, 8) << BigInt(at);
  }
  return result;
}

function leadingZeros(value: bigint, bits: number): bigint {
  return BigInt(bits - (value === 0n ? 0 : value.toString(2).length));
}

/** Of one register and its width. */
const unary: Readonly<Record<string, (value: bigint, bits: number) => bigint>> = {
  RBIT: (value, bits) => reversed(value, bits, 1),
  REV: (value, bits) => reversed(value, bits, 8),
  REV16: (value, bits) => reversedWithin(value, bits, 16),
  REV32: (value, bits) => reversedWithin(value, bits, 32),
  CLZ: leadingZeros,
  CLS: (value, bits) => leadingZeros(BigInt.asUintN(bits - 1, value ^ (value >> 1n)), bits - 1),
};

function unaryInstruction(change: (value: bigint, bits: number) => bigint, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const from = parseRegister(cursor);
  return (thread) => {
    const held = getRegister(thread, from);
    setRegister(thread, to, { ...held, value: change(held.value, from.bits) });
    return undefined;
  };
}

function shiftRegister(shift: (a: bigint, by: bigint, bits: number) => bigint, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const left = parseRegister(cursor);
  cursor.expect(',');
  const right = parseSource(cursor);
  return (thread) => {
    const a = getRegister(thread, left);
    const by = right(thread);
    setRegister(thread, to, combine(shift(a.value, by.value % BigInt(to.bits), to.bits), a, by));
    return undefined;
  };
}

function arithmetic(operation: string, setsFlags: boolean, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const left = parseRegister(cursor);
  cursor.expect(',');
  const right = parseSource(cursor);
  return (thread) => {
    const a = getRegister(thread, left);
    const b = right(thread);
    if (setsFlags) setFlags(thread, operation, a, b, to.bits);
    setRegister(thread, to, combine(binary[operation]!(a.value, b.value), a, b));
    return undefined;
  };
}

function setFlags(thread: ThreadRun, operation: string, a: Tainted, b: Tainted, bits: number): void {
  const left = BigInt.asUintN(bits, a.value);
  const right = BigInt.asUintN(bits, b.value);
  const result = BigInt.asUintN(bits, binary[operation]!(left, right));
  const sign = (value: bigint): bigint => value >> BigInt(bits - 1);
  const carry = operation === 'SUB' ? left >= right : operation === 'ADD' && left + right !== result;
  const addend = operation === 'SUB' ? BigInt.asUintN(bits, ~right) : right;
  const overflow = operation !== 'AND' && sign(left) === sign(addend) && sign(left) !== sign(result);
  const nzcv = (sign(result) << 3n) | (result === 0n ? 4n : 0n) | (carry ? 2n : 0n) | (overflow ? 1n : 0n);
  thread.set(flags, combine(nzcv, a, b));
}
