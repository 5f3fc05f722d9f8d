/**
 * AArch64: what the instructions of the herd catalogue do to control flow, and by the flags. Those that calculate are in
 * `aarch64-arithmetic.ts`, those that touch memory in `aarch64-memory.ts`.
 */
import { Fence, Tag } from '../models/execution.ts';
import { flags, registerInstruction } from './aarch64-arithmetic.ts';
import { memoryInstruction } from './aarch64-memory.ts';
import { getRegister, isRegister, parseRegister, type Register, type Source, setRegister } from './aarch64-operands.ts';
import { endOfThread, type InstructionReader, type Step } from './assembly.ts';
import type { CodeMap, CodePlace } from './code-map.ts';
import { UnsupportedConstruct } from './errors.ts';
import { extensionOfInstruction } from './extensions.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

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

/** Shareability domain and access types of DMB and DSB. ISH is marked (`Tag.inner`); domains that hold all threads are alike. */
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
  return (mnemonic, cursor, here) => {
    const name = mnemonic.text.toUpperCase();
    const step =
      memoryInstruction(name, cursor) ??
      registerInstruction(name, cursor) ??
      select(name, cursor) ??
      flowInstruction(name, cursor, memory.code, here) ??
      indirectBranch(name, cursor, memory.code, here) ??
      addressInstruction(name, cursor, memory, here);
    if (step !== undefined) return step;
    const extension = extensionOfInstruction(name);
    const of = extension === undefined ? '' : ` of extension ${extension}`;
    throw new UnsupportedConstruct(`instruction ${name}${of}`, mnemonic.line, mnemonic.column);
  };
}

/** `ADR X1, x`: the address of a symbol, or of a label. */
function addressInstruction(name: string, cursor: Cursor, memory: MemoryMap, here: CodePlace): Step | undefined {
  if (name !== 'ADR') return undefined;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const address = constant(memory.addressFrom(here.thread, cursor.name('a symbol or a label').text));
  return (thread) => {
    setRegister(thread, to, address);
    return undefined;
  };
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

/** `CINC X0,X1,EQ` is `CSINC X0,X1,X1,NE`, and so for the others. */
const shortSelects: Readonly<Record<string, string>> = { CINC: 'CSINC', CINV: 'CSINV', CNEG: 'CSNEG' };

/** The flags only pick: the result depends on the operand that was chosen. */
function select(mnemonic: string, cursor: Cursor): Step | undefined {
  if (!/^(?:CSEL|CSINC|CSINV|CSNEG|CSETM?|CINC|CINV|CNEG)$/.test(mnemonic)) return undefined;
  const isShort = shortSelects[mnemonic] !== undefined;
  const name = shortSelects[mnemonic] ?? mnemonic;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const operand = (): Source => {
    const register: Register = parseRegister(cursor);
    cursor.expect(',');
    return (thread) => getRegister(thread, register);
  };
  const sets = name === 'CSET' || name === 'CSETM';
  const first: Source = sets ? () => constant(name === 'CSET' ? 1n : -1n) : operand();
  const second: Source = sets ? () => constant(0n) : isShort ? first : operand();
  const otherwise: Readonly<Record<string, (value: bigint) => bigint>> = {
    CSINC: (value) => value + 1n,
    CSINV: (value) => ~value,
    CSNEG: (value) => -value,
  };
  const condition = parseConditionCode(cursor);
  return (thread) => {
    const { holds: said, on } = condition(thread);
    const holds = said !== isShort;
    const chosen = (holds ? first : second)(thread);
    const value = holds ? chosen.value : (otherwise[name]?.(chosen.value) ?? chosen.value);
    const chance = chosen.chance === true || on.chance === true;
    setRegister(thread, to, { value, from: chosen.from, pick: chosen.pick | on.from | on.pick, chance });
    return undefined;
  };
}

/** A label, or how far to go from here in bytes of code: `.-8`. */
function parseTarget(cursor: Cursor, code: CodeMap, here: CodePlace): string | bigint {
  if (!cursor.accept('.')) return cursor.label();
  cursor.accept('+');
  return code.address(here) + cursor.integer();
}

function flowInstruction(name: string, cursor: Cursor, code: CodeMap, here: CodePlace): Step | undefined {
  if (name === 'DMB' || name === 'DSB') {
    const { text, line, column } = cursor.name('a barrier option');
    const dmb = barriers[text.toUpperCase()];
    const fence = name === 'DSB' && dmb === Fence.dmbSt ? Fence.dsbSt : dmb;
    if (fence === undefined) throw new UnsupportedConstruct(`${name} ${text}`, line, column);
    const tags = text.toUpperCase().startsWith('ISH') ? Tag.inner : Tag.none;
    return (thread) => {
      thread.fence(fence, undefined, tags);
      return undefined;
    };
  }
  // Hints to the processor, which order nothing and change nothing.
  if (name === 'NOP' || name === 'YIELD') return () => undefined;
  if (name === 'CLREX') {
    return (thread) => {
      thread.monitor = -1;
      return undefined;
    };
  }
  if (name === 'MRS' && cursor.peek(2).text.toUpperCase() === flags) {
    const to = parseRegister(cursor);
    cursor.expect(',');
    cursor.next();
    return (thread) => {
      const held = thread.get(flags);
      setRegister(thread, to, combine(held.value << 28n, held));
      return undefined;
    };
  }
  if (name === 'ISB') {
    if (cursor.token.type === 'name') cursor.next();
    return (thread) => {
      thread.fence(Fence.isb, undefined, Tag.none);
      return undefined;
    };
  }
  if (name === 'CBZ' || name === 'CBNZ') {
    const register = parseRegister(cursor);
    cursor.expect(',');
    const label = parseTarget(cursor, code, here);
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
    const label = parseTarget(cursor, code, here);
    return (thread) => {
      const held = getRegister(thread, register);
      thread.branchOn(held);
      return (((held.value >> bit) & 1n) === 0n) === (name === 'TBZ') ? label : undefined;
    };
  }
  return branch(name, cursor, code, here);
}

const link = 'X30';

/**
 * BR, BLR and RET go to the code whose address a register holds, and what follows depends on that register; BL and BLR
 * leave the address of the instruction after them in the link register. A thread that returns without ever having been
 * called is at its end.
 */
function indirectBranch(name: string, cursor: Cursor, code: CodeMap, here: CodePlace): Step | undefined {
  const after = constant(code.address({ ...here, index: here.index + 1 }));
  if (name === 'BL') {
    const label = parseTarget(cursor, code, here);
    return (thread) => {
      thread.set(link, after);
      return label;
    };
  }
  if (name !== 'BR' && name !== 'BLR' && name !== 'RET') return undefined;
  const isReturn = name === 'RET';
  const register: Register = isReturn && !isRegister(cursor) ? { name: link, bits: 64 } : parseRegister(cursor);
  return (thread) => {
    if (isReturn && register.name === link && !thread.registers.has(link)) return endOfThread;
    const target = getRegister(thread, register);
    if (name === 'BLR') thread.set(link, after);
    thread.branchOn(target);
    return target.value;
  };
}

/** `B label`, `B.EQ label`, `BEQ label`. */
function branch(name: string, cursor: Cursor, code: CodeMap, here: CodePlace): Step | undefined {
  if (name === 'B' && (!cursor.is('.') || cursor.peek().type !== 'name')) {
    const label = parseTarget(cursor, code, here);
    return () => label;
  }
  let condition: ReturnType<typeof conditionCode>;
  if (name === 'B') {
    cursor.expect('.');
    condition = parseConditionCode(cursor);
  } else if (name.startsWith('B') && conditions[name.slice(1)] !== undefined) {
    condition = conditionCode(name.slice(1), cursor.token.line, cursor.token.column);
  } else return undefined;
  const label = parseTarget(cursor, code, here);
  return (thread) => {
    const { holds, on } = condition(thread);
    thread.branchOn(on);
    return holds ? label : undefined;
  };
}
