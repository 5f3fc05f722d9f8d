/**
 * AArch64: what the instructions of the herd catalogue do to registers, flags and control flow. Those that touch
 * memory are in `aarch64-memory.ts`.
 */
import { Fence } from '../models/execution.ts';
import { memoryInstruction } from './aarch64-memory.ts';
import {
  getRegister,
  parseImmediate,
  parseRegister,
  parseSource,
  type Register,
  type Source,
  setRegister,
} from './aarch64-operands.ts';
import type { InstructionReader, Step } from './assembly.ts';
import { UnsupportedConstruct } from './errors.ts';
import { extensionOfInstruction } from './extensions.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

/** The condition flags live in a register of their own: bits N Z C V, from high to low. */
const flags = 'NZCV';

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

const conditions: Readonly<Record<string, (n: boolean, z: boolean, c: boolean, v: boolean) => boolean>> = {
  EQ: (_n, z) => z,
  NE: (_n, z) => !z,
  CS: (_n, _z, c) => c,
  HS: (_n, _z, c) => c,
  CC: (_n, _z, c) => !c,
  LO: (_n, _z, c) => !c,
  MI: (n) => n,
  PL: (n) => !n,
  VS: (_n, _z, _c, v) => v,
  VC: (_n, _z, _c, v) => !v,
  HI: (_n, z, c) => c && !z,
  LS: (_n, z, c) => !c || z,
  GE: (n, _z, _c, v) => n === v,
  LT: (n, _z, _c, v) => n !== v,
  GT: (n, z, _c, v) => !z && n === v,
  LE: (n, z, _c, v) => z || n !== v,
  AL: () => true,
};

/** Shareability domain and access types of DMB and DSB. Domains that hold all threads are alike. */
const barriers: Readonly<Record<string, number>> = {
  SY: Fence.dmbFull,
  ISH: Fence.dmbFull,
  OSH: Fence.dmbFull,
  LD: Fence.dmbLd,
  ISHLD: Fence.dmbLd,
  OSHLD: Fence.dmbLd,
  ST: Fence.dmbSt,
  ISHST: Fence.dmbSt,
  OSHST: Fence.dmbSt,
  NSH: Fence.dmbNsh,
  NSHLD: Fence.dmbNsh,
  NSHST: Fence.dmbNsh,
};

export function instructionReader(memory: MemoryMap): InstructionReader {
  return (mnemonic, cursor) => {
    const name = mnemonic.text.toUpperCase();
    const step =
      memoryInstruction(name, cursor) ??
      registerInstruction(name, cursor) ??
      flowInstruction(name, cursor) ??
      addressInstruction(name, cursor, memory);
    if (step !== undefined) return step;
    const extension = extensionOfInstruction(name);
    const of = extension === undefined ? '' : ` of extension ${extension}`;
    throw new UnsupportedConstruct(`instruction ${name}${of}`, mnemonic.line, mnemonic.column);
  };
}

/** `ADR X1, x`: the address of a symbol. */
function addressInstruction(name: string, cursor: Cursor, memory: MemoryMap): Step | undefined {
  if (name !== 'ADR') return undefined;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const address = constant(memory.address(cursor.name('a symbol').text));
  return (thread) => {
    setRegister(thread, to, address);
    return undefined;
  };
}

function registerInstruction(name: string, cursor: Cursor): Step | undefined {
  switch (name) {
    case 'NOP':
      return () => undefined;
    case 'MOV':
    case 'MOVZ':
    case 'MOVN':
    case 'NEG':
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
    case 'CSEL':
    case 'CSINC':
    case 'CSINV':
    case 'CSNEG':
    case 'CSET':
    case 'CSETM':
      return select(name, cursor);
    case 'MOVK':
      return moveKeep(cursor);
    case 'UBFM':
    case 'SBFM':
      return moveBitfield(name === 'SBFM', cursor);
  }
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
  if (name === 'NEG') return -value;
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

/** UBFM and SBFM, of which most shifts and extensions are aliases: bits `lsb` to `msb`, moved down, or up around the end. */
function moveBitfield(signed: boolean, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const from = parseRegister(cursor);
  cursor.expect(',');
  const lsb = parseImmediate(cursor);
  cursor.expect(',');
  const msb = parseImmediate(cursor);
  const field = (value: bigint): bigint => {
    const width = Number(msb >= lsb ? msb - lsb + 1n : msb + 1n);
    const bits = msb >= lsb ? value >> lsb : value;
    const cutOut = signed ? BigInt.asIntN(width, bits) : BigInt.asUintN(width, bits);
    return msb >= lsb ? cutOut : cutOut << (BigInt(to.bits) - lsb);
  };
  return (thread) => {
    const held = getRegister(thread, from);
    setRegister(thread, to, { ...held, value: field(held.value) });
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

function parseConditionCode(cursor: Cursor): (thread: ThreadRun) => { holds: boolean; on: Tainted } {
  const { text, line, column } = cursor.name('a condition code');
  return conditionCode(text, line, column);
}

function conditionCode(
  text: string,
  line: number,
  column: number,
): (thread: ThreadRun) => { holds: boolean; on: Tainted } {
  const test = conditions[text.toUpperCase()];
  if (test === undefined) throw new UnsupportedConstruct(`condition ${text}`, line, column);
  return (thread) => {
    const on = thread.get(flags);
    const bit = (mask: bigint): boolean => (on.value & mask) !== 0n;
    return { holds: test(bit(8n), bit(4n), bit(2n), bit(1n)), on };
  };
}

/** The flags only pick: the result depends on the operand that was chosen. */
function select(name: string, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const operand = (): Source => {
    const register: Register = parseRegister(cursor);
    cursor.expect(',');
    return (thread) => getRegister(thread, register);
  };
  const sets = name === 'CSET' || name === 'CSETM';
  const first: Source = sets ? () => constant(name === 'CSET' ? 1n : -1n) : operand();
  const second: Source = sets ? () => constant(0n) : operand();
  const otherwise: Readonly<Record<string, (value: bigint) => bigint>> = {
    CSINC: (value) => value + 1n,
    CSINV: (value) => ~value,
    CSNEG: (value) => -value,
  };
  const condition = parseConditionCode(cursor);
  return (thread) => {
    const { holds, on } = condition(thread);
    const chosen = (holds ? first : second)(thread);
    const value = holds ? chosen.value : (otherwise[name]?.(chosen.value) ?? chosen.value);
    setRegister(thread, to, { value, from: chosen.from, pick: chosen.pick | on.from | on.pick });
    return undefined;
  };
}

function flowInstruction(name: string, cursor: Cursor): Step | undefined {
  if (name === 'DMB' || name === 'DSB') {
    const { text, line, column } = cursor.name('a barrier option');
    const dmb = barriers[text.toUpperCase()];
    const fence = name === 'DSB' && dmb === Fence.dmbSt ? Fence.dsbSt : dmb;
    if (fence === undefined) throw new UnsupportedConstruct(`${name} ${text}`, line, column);
    return (thread) => {
      thread.fence(fence);
      return undefined;
    };
  }
  if (name === 'ISB') {
    if (cursor.token.type === 'name') cursor.next();
    return (thread) => {
      thread.fence(Fence.isb);
      return undefined;
    };
  }
  if (name === 'CBZ' || name === 'CBNZ') {
    const register = parseRegister(cursor);
    cursor.expect(',');
    const label = cursor.label();
    return (thread) => {
      const held = getRegister(thread, register);
      thread.branchOn(held);
      return (held.value === 0n) === (name === 'CBZ') ? label : undefined;
    };
  }
  if (name === 'TBZ' || name === 'TBNZ') {
    const register = parseRegister(cursor);
    cursor.expect(',');
    const bit = cursor.accept('#') ? cursor.integer() : cursor.integer();
    cursor.expect(',');
    const label = cursor.label();
    return (thread) => {
      const held = getRegister(thread, register);
      thread.branchOn(held);
      return (((held.value >> bit) & 1n) === 0n) === (name === 'TBZ') ? label : undefined;
    };
  }
  return branch(name, cursor);
}

/** `B label`, `B.EQ label`, `BEQ label`. */
function branch(name: string, cursor: Cursor): Step | undefined {
  if (name === 'B' && !cursor.is('.')) {
    const label = cursor.label();
    return () => label;
  }
  let condition: ReturnType<typeof conditionCode>;
  if (name === 'B') {
    cursor.expect('.');
    condition = parseConditionCode(cursor);
  } else if (name.startsWith('B') && conditions[name.slice(1)] !== undefined) {
    condition = conditionCode(name.slice(1), cursor.token.line, cursor.token.column);
  } else return undefined;
  const label = cursor.label();
  return (thread) => {
    const { holds, on } = condition(thread);
    thread.branchOn(on);
    return holds ? label : undefined;
  };
}
