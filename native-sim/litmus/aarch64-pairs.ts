/** AArch64's loads and stores of two registers, without order between the halves. */
import { Tag } from '../models/execution.ts';
import {
  getRegister,
  type MemoryOperand,
  parseMemory,
  parseRegister,
  type Register,
  setRegister,
} from './aarch64-operands.ts';
import type { Step } from './assembly.ts';
import type { Tainted } from './thread-run.ts';
import type { Cursor } from './tokens.ts';
export interface Pair {
  readonly first: Register;
  readonly second: Register;
  readonly memory: MemoryOperand;
}

export function parsePair(cursor: Cursor): Pair {
  const first = parseRegister(cursor);
  cursor.expect(',');
  const second = parseRegister(cursor);
  cursor.expect(',');
  return { first, second, memory: parseMemory(cursor) };
}

function shifted(address: Tainted, bytes: number): Tainted {
  return { ...address, value: address.value + BigInt(bytes) };
}

/** Two accesses of one instruction, in no order. `words`: each loads 32 bits, which it extends by their sign. */
export function loadPair(words: boolean, cursor: Cursor): Step {
  const { first, second, memory } = parsePair(cursor);
  const bytes = words ? 4 : bytesOf(first);
  const extended = (value: Tainted): Tainted => (words ? { ...value, value: BigInt.asIntN(32, value.value) } : value);
  return (thread) => {
    const address = memory.address(thread);
    const low = thread.read(address, Tag.none, { bytes });
    const high = thread.read(shifted(address, bytes), Tag.none, { bytes });
    setRegister(thread, first, extended(low));
    setRegister(thread, second, extended(high));
    return undefined;
  };
}

export function storePair(cursor: Cursor): Step {
  const { first, second, memory } = parsePair(cursor);
  const bytes = bytesOf(first);
  return (thread) => {
    const low = getRegister(thread, first);
    const high = getRegister(thread, second);
    const address = memory.address(thread);
    thread.write(address, low, Tag.none, { bytes });
    thread.write(shifted(address, bytes), high, Tag.none, { bytes });
    return undefined;
  };
}

export function bytesOf(register: Register): number {
  return register.bits / 8;
}
