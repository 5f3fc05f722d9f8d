/**
 * X86 in the notation of the herd catalogue (Intel order, `[x]` for memory, `$1` for immediates): moves, arithmetic,
 * fences, XCHG and the LOCK forms, compare and jump. XCHG with memory locks of itself.
 */
import { Fence, Tag } from '../models/execution.ts';
import type { InstructionReader, Step } from './assembly.ts';
import { UnsupportedConstruct } from './errors.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor, Token } from './tokens.ts';

interface Operand {
  readonly memory: boolean;
  /** The value of a register or an immediate, or the address of a memory operand. */
  get(thread: ThreadRun): Tainted;
  /** Undefined: an immediate. */
  readonly register: string | undefined;
}

const registers = /^(?:[ER]?[ABCD]X|[ER]?[SD]I|[ER]?[SB]P|R(?:[89]|1[0-5])D?)$/;

/** `%eax`, `RAX` and `EAX` are one register. */
export function registerName(text: string): string {
  const upper = text.toUpperCase();
  if (!registers.test(upper)) return text;
  if (/^R[0-9]/.test(upper)) return upper.replace(/D$/, '');
  return upper.replace(/^R/, 'E');
}

const twoOperand: Readonly<Record<string, (to: bigint, from: bigint) => bigint>> = {
  ADD: (to, from) => to + from,
  SUB: (to, from) => to - from,
  XOR: (to, from) => to ^ from,
  OR: (to, from) => to | from,
  AND: (to, from) => to & from,
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

const jumps: Readonly<Record<string, (difference: bigint) => boolean>> = {
  JE: (difference) => difference === 0n,
  JZ: (difference) => difference === 0n,
  JNE: (difference) => difference !== 0n,
  JNZ: (difference) => difference !== 0n,
  JL: (difference) => difference < 0n,
  JLE: (difference) => difference <= 0n,
  JG: (difference) => difference > 0n,
  JGE: (difference) => difference >= 0n,
};

/** Holds the difference that the last CMP found. */
const flags = 'FLAGS';

export function instructionReader(memory: MemoryMap): InstructionReader {
  return (mnemonic, cursor) => {
    const locked = mnemonic.text.toUpperCase() === 'LOCK';
    const word = locked ? cursor.name('an instruction to lock') : mnemonic;
    const step = instruction(word, locked, cursor, memory);
    if (step === undefined) throw new UnsupportedConstruct(`instruction ${word.text}`, word.line, word.column);
    return step;
  };
}

function parseOperand(cursor: Cursor, memory: MemoryMap): Operand {
  if (cursor.accept('[')) {
    const inner = parseOperand(cursor, memory);
    cursor.expect(']');
    return { ...inner, memory: true };
  }
  if (cursor.accept('$')) {
    if (cursor.token.type === 'name') return symbol(cursor, memory);
    const value = constant(cursor.integer());
    return { memory: false, get: () => value, register: undefined };
  }
  if (cursor.token.type === 'number' || cursor.is('-')) {
    const value = constant(cursor.integer());
    return { memory: false, get: () => value, register: undefined };
  }
  cursor.accept('%');
  if (registers.test(cursor.token.text.toUpperCase())) {
    const register = registerName(cursor.next().text);
    return { memory: false, get: (thread) => thread.get(register), register };
  }
  return symbol(cursor, memory);
}

function symbol(cursor: Cursor, memory: MemoryMap): Operand {
  const address = constant(memory.address(cursor.name('an operand').text));
  return { memory: false, get: () => address, register: undefined };
}

function word(value: bigint): bigint {
  return BigInt.asIntN(64, value) === value && value >= 0x7f00_0000_0000n ? value : BigInt.asIntN(32, value);
}

function instruction(mnemonic: Token, lock: boolean, cursor: Cursor, memory: MemoryMap): Step | undefined {
  const name = mnemonic.text.toUpperCase().replace(/^(MOV|XCHG|ADD|SUB|XOR|INC|DEC|CMP|XADD|CMPXCHG)[LQ]$/, '$1');
  if (fences[name] !== undefined) {
    const fence = fences[name];
    return (thread) => {
      thread.fence(fence);
      return undefined;
    };
  }
  if (name === 'NOP') return () => undefined;
  if (name === 'JMP') {
    const label = cursor.label();
    return () => label;
  }
  if (jumps[name] !== undefined) return jump(jumps[name], cursor);
  if (oneOperand[name] !== undefined) {
    const to = parseOperand(cursor, memory);
    const operation = oneOperand[name];
    return (thread) => {
      modify(thread, to, lock, (old) => combine(word(operation(old.value)), old));
      return undefined;
    };
  }
  if (!['MOV', 'XCHG', 'CMP', 'XADD', 'CMPXCHG'].includes(name) && twoOperand[name] === undefined) return undefined;
  const to = parseOperand(cursor, memory);
  cursor.expect(',');
  const from = parseOperand(cursor, memory);
  if (name !== 'CMP' && !to.memory && to.register === undefined) {
    throw new UnsupportedConstruct(`${name} to an immediate`, mnemonic.line, mnemonic.column);
  }
  return binary(name, lock, to, from);
}

function jump(taken: (difference: bigint) => boolean, cursor: Cursor): Step {
  const label = cursor.label();
  return (thread) => {
    const difference = thread.get(flags);
    thread.branchOn(difference);
    return taken(difference.value) ? label : undefined;
  };
}

function binary(name: string, lock: boolean, to: Operand, from: Operand): Step {
  return (thread) => {
    switch (name) {
      case 'MOV':
        put(thread, to, value(thread, from));
        break;
      case 'CMP': {
        const left = value(thread, to);
        const right = value(thread, from);
        thread.set(flags, combine(left.value - right.value, left, right));
        break;
      }
      case 'XCHG': {
        const [cell, register] = to.memory ? [to, from] : [from, to];
        const held = register.get(thread);
        put(
          thread,
          register,
          modify(thread, cell, true, () => held),
        );
        break;
      }
      case 'XADD': {
        const held = from.get(thread);
        put(
          thread,
          from,
          modify(thread, to, lock, (old) => combine(word(old.value + held.value), old, held)),
        );
        break;
      }
      case 'CMPXCHG':
        compareAndExchange(thread, lock, to, from);
        break;
      default: {
        const operand = value(thread, from);
        const operation = twoOperand[name]!;
        modify(thread, to, lock, (old) => combine(word(operation(old.value, operand.value)), old, operand));
      }
    }
    return undefined;
  };
}

function value(thread: ThreadRun, operand: Operand): Tainted {
  const held = operand.get(thread);
  return operand.memory ? thread.read(held, Tag.none) : held;
}

function put(thread: ThreadRun, operand: Operand, to: Tainted): void {
  if (operand.memory) thread.write(operand.get(thread), to, Tag.none);
  else thread.set(operand.register!, to);
}

/** Replace what `operand` holds, in one step where `lock` says so, and return what it held. */
function modify(thread: ThreadRun, operand: Operand, lock: boolean, change: (old: Tainted) => Tainted): Tainted {
  const held = operand.get(thread);
  if (!operand.memory) {
    thread.set(operand.register!, change(held));
    return held;
  }
  const tags = lock ? Tag.rmw : Tag.none;
  const old = thread.read(held, tags);
  const first = thread.last;
  thread.write(held, change(old), tags, { rmw: lock ? first : -1 });
  return old;
}

function compareAndExchange(thread: ThreadRun, lock: boolean, to: Operand, from: Operand): void {
  const expected = thread.get('EAX');
  const address = to.get(thread);
  const tags = lock ? Tag.rmw : Tag.none;
  const old = thread.read(address, tags);
  thread.set(flags, combine(expected.value - old.value, expected, old));
  if (old.value === expected.value) thread.write(address, from.get(thread), tags, { rmw: lock ? thread.last : -1 });
  else thread.set('EAX', old);
}
