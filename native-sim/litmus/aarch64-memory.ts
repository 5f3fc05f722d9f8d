/**
 * AArch64 instructions that touch memory: loads, stores, exclusives, and the single-instruction atomics (LSE).
 */
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
import { combine, constant, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

const loads: Readonly<Record<string, number>> = {
  LDR: Tag.none,
  LDUR: Tag.none,
  LDAR: Tag.acquire,
  LDAPR: Tag.acquirePc,
  LDAPUR: Tag.acquirePc,
};

const stores: Readonly<Record<string, number>> = {
  STR: Tag.none,
  STUR: Tag.none,
  STLR: Tag.release,
  STLUR: Tag.release,
};

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

/** What LDADD and its kin leave in memory. */
const operations: Readonly<Record<string, (old: bigint, operand: bigint, bits: number) => bigint>> = {
  ADD: (old, operand) => old + operand,
  EOR: (old, operand) => old ^ operand,
  SET: (old, operand) => old | operand,
  CLR: (old, operand) => old & ~operand,
  SMAX: (old, operand, bits) => (BigInt.asIntN(bits, old) > BigInt.asIntN(bits, operand) ? old : operand),
  SMIN: (old, operand, bits) => (BigInt.asIntN(bits, old) < BigInt.asIntN(bits, operand) ? old : operand),
  UMAX: (old, operand) => larger(old, operand),
  UMIN: (old, operand) => old + operand - larger(old, operand),
};

const atomicPattern = /^(LD|ST)(ADD|EOR|SET|CLR|SMAX|SMIN|UMAX|UMIN)(A?)(L?)([BH]?)$/;

/** `B` and `H` after a name: the access is of a byte or a halfword, a value cut to that width. */
type Width = 'B' | 'H' | '';

export function memoryInstruction(name: string, cursor: Cursor): Step | undefined {
  const sized = /^(LDU?R|LDAR|LDAPU?R|LDA?XR|STU?R|STLU?R|STL?XR)([BH]?)$/.exec(name);
  if (sized !== null) return plainOrExclusive(sized[1]!, sized[2] as Width, cursor);
  const exchange = /^(SWP|CAS)(A?)(L?)([BH]?)$/.exec(name);
  if (exchange !== null) {
    const acquire = exchange[2] === 'A' ? Tag.acquire : 0;
    const release = exchange[3] === 'L' ? Tag.release : 0;
    const width = exchange[4] as Width;
    return exchange[1] === 'SWP'
      ? swap(acquire, release, width, cursor)
      : compareAndSwap(acquire, release, width, cursor);
  }
  const atomic = atomicPattern.exec(name);
  if (atomic === null) return undefined;
  const acquire = atomic[3] === 'A' ? Tag.acquire : 0;
  const release = atomic[4] === 'L' ? Tag.release : 0;
  const width = atomic[5] as Width;
  return fetchAndModify(operations[atomic[2]!]!, atomic[1] === 'LD', acquire, release, width, cursor);
}

function plainOrExclusive(name: string, width: Width, cursor: Cursor): Step {
  if (loads[name] !== undefined) return load(loads[name], width, cursor);
  if (stores[name] !== undefined) return store(stores[name], width, cursor);
  if (name.startsWith('LD')) {
    return load(Tag.exclusive | Tag.rmw | (name === 'LDAXR' ? Tag.acquire : 0), width, cursor);
  }
  return storeExclusive(name === 'STLXR' ? Tag.release : 0, width, cursor);
}

function parseSized(cursor: Cursor, width: Width): Register {
  const register = parseRegister(cursor);
  if (width === '') return register;
  return { name: register.name, bits: width === 'B' ? 8 : 16 };
}

function truncated(value: Tainted, register: Register): Tainted {
  return { ...value, value: BigInt.asUintN(register.bits, value.value) };
}

/** The atomics that discard what they read do not acquire, and DMB LD does not wait for their read. */
function readTags(acquire: number, to: Register | undefined): number {
  return Tag.rmw | (to?.name === undefined ? Tag.noReturn : acquire);
}

function load(tags: number, width: Width, cursor: Cursor): Step {
  const to = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    setRegister(thread, to, thread.read(memory.address(thread), tags));
    return undefined;
  };
}

function store(tags: number, width: Width, cursor: Cursor): Step {
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, from);
    thread.write(memory.address(thread), value, tags);
    return undefined;
  };
}

/** May fail for no reason at all, and does where no exclusive load of the same address is pending. */
function storeExclusive(release: number, width: Width, cursor: Cursor): Step {
  const status = parseRegister(cursor);
  cursor.expect(',');
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, from);
    const address = memory.address(thread);
    const reserved = reservation(thread, address.value);
    if (reserved < 0 || thread.choose(2) === 1) {
      setRegister(thread, status, constant(1n));
      return undefined;
    }
    thread.write(address, value, Tag.exclusive | Tag.rmw | release, reserved);
    setRegister(thread, status, constant(0n));
    return undefined;
  };
}

/** The latest exclusive load, unless an exclusive store has used it up or it was of another address. */
function reservation(thread: ThreadRun, address: bigint): number {
  for (let at = thread.last; at >= 0; at--) {
    const event = thread.events[at]!;
    if ((event.tags & Tag.exclusive) === 0) continue;
    return event.read >= 0 && event.address === address ? at : -1;
  }
  return -1;
}

function swap(acquire: number, release: number, width: Width, cursor: Cursor): Step {
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const to = parseSized(cursor, width);
  cursor.expect(',');
  const memory: MemoryOperand = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, from);
    const address = memory.address(thread);
    const old = thread.read(address, readTags(acquire, to));
    thread.write(address, value, Tag.rmw | release, thread.last);
    setRegister(thread, to, old);
    return undefined;
  };
}

/**
 * The comparison picks whether the write happens. Where it succeeds, the register holds the old value already: a
 * processor may leave it, so that what comes after depends on the old register and is picked by both, or write it, so
 * that what comes after depends on memory. Where it fails, a processor may write the old value back. All are explored.
 */
function compareAndSwap(acquire: number, release: number, width: Width, cursor: Cursor): Step {
  const compare = parseSized(cursor, width);
  cursor.expect(',');
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const expected = getRegister(thread, compare);
    const value = getRegister(thread, from);
    const address = memory.address(thread);
    const old = thread.read(address, readTags(acquire, compare));
    if (truncated(old, compare).value !== expected.value) {
      if (thread.choose(2) === 1) thread.write(address, old, Tag.rmw | release, thread.last);
      setRegister(thread, compare, old);
      return undefined;
    }
    const picked = expected.from | expected.pick | old.from;
    thread.write(address, { ...value, pick: value.pick | picked }, Tag.rmw | release, thread.last);
    if (compare.name === undefined) return undefined;
    if (thread.choose(2) === 0) setRegister(thread, compare, { ...expected, pick: picked });
    else setRegister(thread, compare, old);
    return undefined;
  };
}

function fetchAndModify(
  operation: (old: bigint, operand: bigint, bits: number) => bigint,
  returns: boolean,
  acquire: number,
  release: number,
  width: Width,
  cursor: Cursor,
): Step {
  const operand = parseSized(cursor, width);
  cursor.expect(',');
  let to: Register | undefined;
  if (returns) {
    to = parseSized(cursor, width);
    cursor.expect(',');
  }
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, operand);
    const address = memory.address(thread);
    const old = thread.read(address, readTags(acquire, to));
    const written = BigInt.asUintN(operand.bits, operation(old.value, value.value, operand.bits));
    thread.write(address, combine(written, old, value), Tag.rmw | release, thread.last);
    if (to !== undefined) setRegister(thread, to, old);
    return undefined;
  };
}
