/**
 * What x86 instructions do, in both notations (see `x86-operands.ts`): moves, arithmetic, fences, XCHG and the LOCK
 * forms, compare and jump. XCHG with memory locks of itself. AT&T's suffixes (`movl`) give the size, or a register does.
 */
import { Fence, Tag } from '../models/execution.ts';
import { endOfThread, type InstructionReader, type Step } from './assembly.ts';
import { UnsupportedConstruct } from './errors.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor, Token } from './tokens.ts';
import { getRegister, type Notation, type Operand, parseOperand, registerName, setRegister } from './x86-operands.ts';

const twoOperand: Readonly<Record<string, (to: bigint, from: bigint, bits: number) => bigint>> = {
  ADD: (to, from) => to + from,
  SUB: (to, from) => to - from,
  XOR: (to, from) => to ^ from,
  OR: (to, from) => to | from,
  AND: (to, from) => to & from,
  SHL: (to, from, bits) => to << BigInt.asUintN(bits === 64 ? 6 : 5, from),
  SAL: (to, from, bits) => to << BigInt.asUintN(bits === 64 ? 6 : 5, from),
  SHR: (to, from, bits) => to >> BigInt.asUintN(bits === 64 ? 6 : 5, from),
  SAR: (to, from, bits) => BigInt.asIntN(bits, to) >> BigInt.asUintN(bits === 64 ? 6 : 5, from),
};

const oneOperand: Readonly<Record<string, (to: bigint) => bigint>> = {
  INC: (to) => to + 1n,
  DEC: (to) => to - 1n,
  NEG: (to) => -to,
  NOT: (to) => ~to,
};

const fences: Readonly<Record<string, number>> = {
  MFENCE: Fence.mfence,
  LFENCE: Fence.lfence,
  SFENCE: Fence.sfence,
};

/** By the flags: carry, zero, sign, overflow. */
const conditions: Readonly<Record<string, (c: boolean, z: boolean, s: boolean, o: boolean) => boolean>> = {
  E: (_c, z) => z,
  Z: (_c, z) => z,
  NE: (_c, z) => !z,
  NZ: (_c, z) => !z,
  L: (_c, _z, s, o) => s !== o,
  LT: (_c, _z, s, o) => s !== o,
  LE: (_c, z, s, o) => z || s !== o,
  G: (_c, z, s, o) => !z && s === o,
  GT: (_c, z, s, o) => !z && s === o,
  GE: (_c, _z, s, o) => s === o,
  S: (_c, _z, s) => s,
  NS: (_c, _z, s) => !s,
  B: (c) => c,
  C: (c) => c,
  NB: (c) => !c,
  NC: (c) => !c,
  AE: (c) => !c,
  A: (c, z) => !c && !z,
  BE: (c, z) => c || z,
};

const flags = 'FLAGS';

const sizes: Readonly<Record<string, number>> = { B: 8, W: 16, L: 32, Q: 64 };

/** Those that may have a size at their end, and take two operands. */
const binaries = new Set(['MOV', 'XCHG', 'UXCH', 'CMP', 'TEST', 'XADD', 'CMPXCHG', ...Object.keys(twoOperand)]);

const none: Step = () => undefined;

export function instructionReader(memory: MemoryMap, notation: Notation): InstructionReader {
  return (mnemonic, cursor) => {
    const locked = mnemonic.text.toUpperCase() === 'LOCK';
    const word = locked ? cursor.name('an instruction to lock') : mnemonic;
    const step = new Reader(cursor, memory, notation, locked).instruction(word);
    if (step === undefined) throw new UnsupportedConstruct(`instruction ${word.text}`, word.line, word.column);
    return step;
  };
}

/** Reads one instruction. */
class Reader {
  readonly #cursor: Cursor;
  readonly #memory: MemoryMap;
  readonly #notation: Notation;
  readonly #locked: boolean;

  constructor(cursor: Cursor, memory: MemoryMap, notation: Notation, locked: boolean) {
    this.#cursor = cursor;
    this.#memory = memory;
    this.#notation = notation;
    this.#locked = locked;
  }

  instruction(mnemonic: Token): Step | undefined {
    const name = mnemonic.text.toUpperCase();
    const simple = this.#simple(name) ?? this.#jump(name) ?? this.#onCondition(name) ?? this.#extend(name);
    if (simple !== undefined) return simple;
    const last = sizes[name.at(-1)!];
    const isWhole = binaries.has(name) || oneOperand[name] !== undefined || name === 'LEA';
    const plain = isWhole || last === undefined ? name : name.slice(0, -1);
    const said = isWhole ? undefined : last;
    if (plain === 'MOVABS') return this.#binary('MOV', 64);
    if (plain === 'LEA') return this.#loadAddress();
    if (oneOperand[plain] !== undefined) return this.#unary(oneOperand[plain], plain === 'NOT', said);
    return binaries.has(plain) ? this.#binary(plain, said) : undefined;
  }

  #operand(): Operand {
    return parseOperand(this.#cursor, this.#memory, this.#notation);
  }

  /** Destination and source, whichever is written first. */
  #operands(): [to: Operand, from: Operand] {
    const first = this.#operand();
    this.#cursor.expect(',');
    const second = this.#operand();
    return this.#notation === 'att' ? [second, first] : [first, second];
  }

  #simple(name: string): Step | undefined {
    if (fences[name] !== undefined) {
      const fence = fences[name];
      return (thread) => {
        thread.fence(fence);
        return undefined;
      };
    }
    if (name === 'RET' || name === 'RETQ') return () => endOfThread;
    if (!/^(?:NOP[WLQ]?|ENDBR64|PAUSE)$/.test(name)) return undefined;
    while (!this.#cursor.is(';') && !this.#cursor.is('|') && this.#cursor.token.type !== 'end') this.#cursor.next();
    return none;
  }

  #jump(name: string): Step | undefined {
    if (!name.startsWith('J')) return undefined;
    const condition = name === 'JMP' ? undefined : conditions[name.slice(1)];
    if (name !== 'JMP' && condition === undefined) return undefined;
    const label = this.#cursor.label();
    if (condition === undefined) return () => label;
    return (thread) => {
      thread.branchOn(thread.get(flags));
      return holds(thread, condition) ? label : undefined;
    };
  }

  /** SETcc and CMOVcc. */
  #onCondition(name: string): Step | undefined {
    const match = /^(SET|CMOV)(\w+?)([WLQ]?)$/.exec(name);
    if (match === null) return undefined;
    const condition = conditions[match[2]! + match[3]!] ?? conditions[match[2]!];
    if (condition === undefined) return undefined;
    if (match[1] === 'SET') {
      const to = this.#operand();
      return (thread) => {
        put(thread, to, 8, combine(holds(thread, condition) ? 1n : 0n, thread.get(flags)));
        return undefined;
      };
    }
    const [to, from] = this.#operands();
    const bits = sizeOf(sizes[match[3]!], to, from);
    return (thread) => {
      const on = thread.get(flags);
      const chosen = get(thread, holds(thread, condition) ? from : to, bits);
      put(thread, to, bits, combine(chosen.value, chosen, on));
      return undefined;
    };
  }

  /** MOVZX and MOVSX, and AT&T's names for them, which give both sizes: `movzbl`, `movslq`. */
  #extend(name: string): Step | undefined {
    const match = /^MOV([ZS])([BWL])([WLQ])$/.exec(name) ?? /^MOV([ZS])X(D?)()$/.exec(name);
    if (match === null) return undefined;
    const [to, from] = this.#operands();
    const bits = sizeOf(sizes[match[3]!], to);
    const narrow = match[2] === 'D' ? 32 : sizeOf(sizes[match[2]!], from);
    return (thread) => {
      const held = get(thread, from, narrow);
      put(thread, to, bits, { ...held, value: match[1] === 'S' ? BigInt.asIntN(narrow, held.value) : held.value });
      return undefined;
    };
  }

  #loadAddress(): Step {
    const { line, column } = this.#cursor.token;
    const [to, from] = this.#operands();
    if (from.kind !== 'memory') throw new UnsupportedConstruct('LEA of what is no memory', line, column);
    return (thread) => {
      put(thread, to, 64, from.address(thread));
      return undefined;
    };
  }

  #unary(operation: (to: bigint) => bigint, keepsFlags: boolean, said: number | undefined): Step {
    const to = this.#operand();
    const bits = sizeOf(said, to);
    const locked = this.#locked;
    return (thread) => {
      let now = constant(0n);
      modify(thread, to, bits, locked, (old) => {
        now = combine(operation(old.value), old);
        return now;
      });
      if (!keepsFlags) setFlags(thread, now, bits, (thread.get(flags).value & 1n) === 1n, false);
      return undefined;
    };
  }

  #binary(name: string, said: number | undefined): Step {
    const { line, column } = this.#cursor.token;
    const [to, from] = this.#operands();
    if (to.kind === 'immediate' && name !== 'CMP' && name !== 'TEST') {
      throw new UnsupportedConstruct(`${name} to an immediate`, line, column);
    }
    const bits = sizeOf(said, to, from);
    const register = { name: registerName('EAX', this.#notation), bits, shift: 0 };
    const operation: Binary = { to, from, bits, locked: this.#locked, accumulator: { kind: 'register', register } };
    return (thread) => {
      perform(thread, name, operation);
      return undefined;
    };
  }
}

/** What the name says, or a register; else a word. */
function sizeOf(said: number | undefined, ...operands: readonly Operand[]): number {
  if (said !== undefined) return said;
  const register = operands.find((operand) => operand.kind === 'register');
  return register?.kind === 'register' ? register.register.bits : 32;
}

interface Binary {
  readonly to: Operand;
  readonly from: Operand;
  readonly bits: number;
  readonly locked: boolean;
  /** What CMPXCHG compares with. */
  readonly accumulator: Operand;
}

function perform(thread: ThreadRun, name: string, binary: Binary): void {
  const { to, from, bits, locked } = binary;
  switch (name) {
    case 'MOV':
      put(thread, to, bits, get(thread, from, bits));
      break;
    case 'CMP':
    case 'TEST': {
      const left = get(thread, to, bits);
      const right = get(thread, from, bits);
      arithmetic(thread, name === 'CMP' ? 'SUB' : 'AND', left, right, bits);
      break;
    }
    case 'XCHG':
    case 'UXCH': {
      const [cell, register] = to.kind === 'memory' ? [to, from] : [from, to];
      const held = get(thread, register, bits);
      const old = modify(thread, cell, bits, name === 'XCHG', () => held);
      put(thread, register, bits, old);
      break;
    }
    case 'XADD': {
      const held = get(thread, from, bits);
      const old = modify(thread, to, bits, locked, (found) => arithmetic(thread, 'ADD', found, held, bits));
      put(thread, from, bits, old);
      break;
    }
    case 'CMPXCHG':
      compareAndExchange(thread, binary);
      break;
    default: {
      const operand = get(thread, from, bits);
      modify(thread, to, bits, locked, (old) => arithmetic(thread, name, old, operand, bits));
    }
  }
}

function get(thread: ThreadRun, operand: Operand, bits: number, tags: number = Tag.none): Tainted {
  if (operand.kind === 'immediate') return constant(BigInt.asUintN(bits, operand.value));
  if (operand.kind === 'memory') return thread.read(operand.address(thread), tags, { bytes: bits / 8 });
  const held = getRegister(thread, operand.register);
  return { ...held, value: BigInt.asUintN(bits, held.value) };
}

function put(thread: ThreadRun, operand: Operand, bits: number, value: Tainted): void {
  if (operand.kind === 'memory') thread.write(operand.address(thread), value, Tag.none, { bytes: bits / 8 });
  else if (operand.kind === 'register') setRegister(thread, operand.register, value);
}

/** Replace what `operand` holds, in one step where `lock` says so, and return what it held. */
function modify(
  thread: ThreadRun,
  operand: Operand,
  bits: number,
  lock: boolean,
  change: (old: Tainted) => Tainted,
): Tainted {
  if (operand.kind !== 'memory') {
    const held = get(thread, operand, bits);
    put(thread, operand, bits, change(held));
    return held;
  }
  const address = operand.address(thread);
  const tags = lock ? Tag.rmw : Tag.none;
  const bytes = bits / 8;
  const old = thread.read(address, tags, { bytes });
  const rmw = lock ? thread.last : -1;
  thread.write(address, change(old), tags, { bytes, rmw });
  return old;
}

function compareAndExchange(thread: ThreadRun, { to, from, bits, locked: lock, accumulator }: Binary): void {
  const expected = get(thread, accumulator, bits);
  const tags = lock ? Tag.rmw : Tag.none;
  const old = get(thread, to, bits, tags);
  arithmetic(thread, 'SUB', expected, old, bits);
  if (old.value !== expected.value) put(thread, accumulator, bits, old);
  else if (to.kind === 'memory') {
    const rmw = lock ? thread.last : -1;
    thread.write(to.address(thread), get(thread, from, bits), tags, { bytes: bits / 8, rmw });
  } else put(thread, to, bits, get(thread, from, bits));
}

/** The result of an operation, with the flags set by it. */
function arithmetic(thread: ThreadRun, name: string, to: Tainted, from: Tainted, bits: number): Tainted {
  const left = BigInt.asUintN(bits, to.value);
  const right = BigInt.asUintN(bits, from.value);
  const result = combine(BigInt.asUintN(bits, twoOperand[name]!(left, right, bits)), to, from);
  const sign = (value: bigint): boolean => value >> BigInt(bits - 1) === 1n;
  const carry = name === 'SUB' ? left < right : name === 'ADD' && left + right !== result.value;
  const alike = name === 'SUB' ? sign(left) !== sign(right) : name === 'ADD' && sign(left) === sign(right);
  setFlags(thread, result, bits, carry, alike && sign(left) !== sign(result.value));
  return result;
}

function setFlags(thread: ThreadRun, result: Tainted, bits: number, carry: boolean, overflow: boolean): void {
  const value = BigInt.asUintN(bits, result.value);
  const zero = value === 0n ? 2n : 0n;
  const sign = value >> BigInt(bits - 1) === 1n ? 4n : 0n;
  thread.set(flags, { ...result, value: (carry ? 1n : 0n) | zero | sign | (overflow ? 8n : 0n) });
}

function holds(thread: ThreadRun, condition: (c: boolean, z: boolean, s: boolean, o: boolean) => boolean): boolean {
  const { value } = thread.get(flags);
  return condition((value & 1n) !== 0n, (value & 2n) !== 0n, (value & 4n) !== 0n, (value & 8n) !== 0n);
}
