/**
 * AArch64 instructions that touch memory: loads, stores, pairs, exclusives, and the single-instruction atomics (LSE).
 */
import { Tag } from '../models/execution.ts';
import {
  getRegister,
  type MemoryOperand,
  next,
  parseMemory,
  parseRegister,
  type Register,
  setRegister,
} from './aarch64-operands.ts';
import { bytesOf, loadPair, parsePair, storePair } from './aarch64-pairs.ts';
import type { Step } from './assembly.ts';
import { byChance, combine, type Tainted, type ThreadRun } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

const loads: Readonly<Record<string, number>> = {
  LDR: Tag.none,
  LDUR: Tag.none,
  LDTR: Tag.none,
  LDAR: Tag.acquire,
  LDAPR: Tag.acquirePc,
  LDAPUR: Tag.acquirePc,
  LDXR: Tag.exclusive | Tag.rmw,
  LDAXR: Tag.exclusive | Tag.rmw | Tag.acquire,
};

const stores: Readonly<Record<string, number>> = {
  STR: Tag.none,
  STUR: Tag.none,
  STTR: Tag.none,
  STLR: Tag.release,
  STLUR: Tag.release,
};

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

type Operation = (old: bigint, operand: bigint, bits: number) => bigint;

/** What LDADD and its kin leave in memory. */
const operations: Readonly<Record<string, Operation>> = {
  ADD: (old, operand) => old + operand,
  EOR: (old, operand) => old ^ operand,
  SET: (old, operand) => old | operand,
  CLR: (old, operand) => old & ~operand,
  SMAX: (old, operand, bits) => (BigInt.asIntN(bits, old) > BigInt.asIntN(bits, operand) ? old : operand),
  SMIN: (old, operand, bits) => (BigInt.asIntN(bits, old) < BigInt.asIntN(bits, operand) ? old : operand),
  UMAX: (old, operand) => larger(old, operand),
  UMIN: (old, operand) => old + operand - larger(old, operand),
};

/** `B` and `H` after a name: the access is of a byte or a halfword, a value cut to that width. */
type Width = 'B' | 'H' | '';

interface Ordering {
  readonly acquire: number;
  readonly release: number;
}

function orderingOf(acquire: string, release: string): Ordering {
  return { acquire: acquire === 'A' ? Tag.acquire : 0, release: release === 'L' ? Tag.release : 0 };
}

export function memoryInstruction(name: string, cursor: Cursor): Step | undefined {
  const signed = /^(LD[UT]?R|LDAPU?R)S([BHW])$/.exec(name);
  if (signed !== null) return loadSigned(loads[signed[1]!]!, { B: 8, H: 16, W: 32 }[signed[2]!]!, cursor);
  const load = /^(LD[UT]?R|LDAR|LDAPU?R|LDA?XR)([BH]?)$/.exec(name);
  if (load !== null) return loadOne(loads[load[1]!]!, load[2] as Width, cursor);
  const store = /^(STL?U?R|STTR)([BH]?)$/.exec(name);
  if (store !== null) return storeOne(stores[store[1]!]!, store[2] as Width, cursor);
  const exclusive = /^(STL?XR)([BH]?)$/.exec(name);
  if (exclusive !== null) {
    return storeExclusive(exclusive[1] === 'STLXR' ? Tag.release : 0, exclusive[2] as Width, cursor);
  }
  const exclusivePair = /^(LDA?XP)|STL?XP$/.exec(name);
  if (exclusivePair?.[1] !== undefined) return loadExclusivePair(name === 'LDAXP' ? Tag.acquire : 0, cursor);
  if (exclusivePair !== null) return storeExclusivePair(name === 'STLXP' ? Tag.release : 0, cursor);
  if (/^LDN?P$/.test(name)) return loadPair(false, cursor);
  if (name === 'LDPSW') return loadPair(true, cursor);
  if (/^STN?P$/.test(name)) return storePair(cursor);
  return atomicInstruction(name, cursor);
}

function atomicInstruction(name: string, cursor: Cursor): Step | undefined {
  const pair = /^CASP(A?)(L?)$/.exec(name);
  if (pair !== null) return compareAndSwapPair(orderingOf(pair[1]!, pair[2]!), cursor);
  const exchange = /^(SWP|CAS)(A?)(L?)([BH]?)$/.exec(name);
  if (exchange !== null) {
    const ordering = orderingOf(exchange[2]!, exchange[3]!);
    const width = exchange[4] as Width;
    return exchange[1] === 'SWP' ? swap(ordering, width, cursor) : compareAndSwap(ordering, width, cursor);
  }
  const atomic = /^(LD|ST)(ADD|EOR|SET|CLR|SMAX|SMIN|UMAX|UMIN)(A?)(L?)([BH]?)$/.exec(name);
  if (atomic === null) return undefined;
  const ordering = orderingOf(atomic[3]!, atomic[4]!);
  return fetchAndModify(operations[atomic[2]!]!, atomic[1] === 'LD', ordering, atomic[5] as Width, cursor);
}

function parseSized(cursor: Cursor, width: Width): Register {
  const register = parseRegister(cursor);
  if (width === '') return register;
  return { name: register.name, bits: width === 'B' ? 8 : 16 };
}

/** The atomics that discard what they read do not acquire, and DMB LD does not wait for their read. */
function readTags(acquire: number, to: Register | undefined): number {
  return Tag.rmw | (to?.name === undefined ? Tag.noReturn : acquire);
}

function loadOne(tags: number, width: Width, cursor: Cursor): Step {
  const to = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = thread.read(memory.address(thread), tags, { bytes: bytesOf(to) });
    if ((tags & Tag.exclusive) !== 0) setMonitor(thread, bytesOf(to));
    setRegister(thread, to, value);
    return undefined;
  };
}

/** The latest access is an exclusive load. */
function setMonitor(thread: ThreadRun, bytes: number): void {
  thread.monitor = thread.last;
  thread.monitorBytes = bytes;
}

function loadSigned(tags: number, bits: number, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = thread.read(memory.address(thread), tags, { bytes: bits / 8 });
    setRegister(thread, to, { ...value, value: BigInt.asIntN(bits, value.value) });
    return undefined;
  };
}

function storeOne(tags: number, width: Width, cursor: Cursor): Step {
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, from);
    thread.write(memory.address(thread), value, tags, { bytes: bytesOf(from) });
    return undefined;
  };
}

/** Unlike those of LDP, the two halves of an exclusive pair are one access. */
function loadExclusivePair(acquire: number, cursor: Cursor): Step {
  const { first, second, memory } = parsePair(cursor);
  const bytes = 2 * bytesOf(first);
  return (thread) => {
    const both = thread.read(memory.address(thread), Tag.exclusive | Tag.rmw | acquire, { bytes });
    setMonitor(thread, bytes);
    setPair(thread, [first, second], both);
    return undefined;
  };
}

function storeExclusivePair(release: number, cursor: Cursor): Step {
  const status = parseRegister(cursor);
  cursor.expect(',');
  const { first, second, memory } = parsePair(cursor);
  return (thread) => {
    const value = getPair(thread, [first, second]);
    writeExclusive(thread, status, memory.address(thread), { value, bytes: 2 * bytesOf(first), release });
    return undefined;
  };
}

function storeExclusive(release: number, width: Width, cursor: Cursor): Step {
  const status = parseRegister(cursor);
  cursor.expect(',');
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const value = getRegister(thread, from);
    writeExclusive(thread, status, memory.address(thread), { value, bytes: bytesOf(from), release });
    return undefined;
  };
}

interface Exclusive {
  readonly value: Tainted;
  readonly bytes: number;
  readonly release: number;
}

/**
 * May fail for no reason at all, and does where no exclusive load of the same size is pending. It may succeed at another
 * address than that of the load, but is then no pair with it.
 */
function writeExclusive(
  thread: ThreadRun,
  status: Register,
  address: Tainted,
  { value, bytes, release }: Exclusive,
): void {
  const load = takeMonitor(thread, bytes);
  if (load < 0 || thread.choose(2) === 1) {
    setRegister(thread, status, byChance(1n));
    return;
  }
  const rmw = thread.events[load]!.address === address.value ? load : -1;
  thread.write(address, value, Tag.exclusive | Tag.rmw | release, { rmw, bytes });
  setRegister(thread, status, byChance(0n));
}

/** The exclusive load that is pending, or -1. None is afterwards, whether the store succeeds or not. */
function takeMonitor(thread: ThreadRun, bytes: number): number {
  const { monitor } = thread;
  thread.monitor = -1;
  return thread.monitorBytes === bytes ? monitor : -1;
}

function swap({ acquire, release }: Ordering, width: Width, cursor: Cursor): Step {
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const to = parseSized(cursor, width);
  cursor.expect(',');
  const memory: MemoryOperand = parseMemory(cursor);
  const bytes = bytesOf(from);
  return (thread) => {
    const value = getRegister(thread, from);
    const address = memory.address(thread);
    const old = thread.read(address, readTags(acquire, to), { bytes });
    thread.write(address, value, Tag.rmw | release, { rmw: thread.last, bytes });
    setRegister(thread, to, old);
    return undefined;
  };
}

interface Comparison {
  readonly expected: Tainted;
  readonly value: Tainted;
  readonly bytes: number;
  readonly tags: { readonly read: number; readonly write: number };
  /** Leaves the value that was found, or what stands for it, in the register or registers that were compared. */
  settle(thread: ThreadRun, found: Tainted): void;
}

/**
 * The comparison decides whether the write happens. Where it succeeds, the register holds the old value already: a
 * processor may leave it, so that what comes after depends on the old register and is picked by both, or write it, so
 * that what comes after depends on memory. Where it fails, a processor may write the old value back. All are explored.
 */
function compareAndExchange(thread: ThreadRun, address: Tainted, comparison: Comparison): void {
  const { expected, value, bytes, tags } = comparison;
  const old = thread.read(address, tags.read, { bytes });
  const rmw = thread.last;
  const guard = expected.from | expected.pick | old.from;
  if (old.value !== expected.value) {
    if (thread.choose(2) === 1) thread.write(address, old, tags.write, { rmw, bytes, guard });
    comparison.settle(thread, old);
    return;
  }
  thread.write(address, value, tags.write, { rmw, bytes, guard });
  if ((tags.read & Tag.noReturn) !== 0) return;
  comparison.settle(thread, thread.choose(2) === 0 ? { ...expected, pick: guard } : old);
}

function compareAndSwap({ acquire, release }: Ordering, width: Width, cursor: Cursor): Step {
  const compare = parseSized(cursor, width);
  cursor.expect(',');
  const from = parseSized(cursor, width);
  cursor.expect(',');
  const memory = parseMemory(cursor);
  return (thread) => {
    const expected = getRegister(thread, compare);
    const value = getRegister(thread, from);
    compareAndExchange(thread, memory.address(thread), {
      expected,
      value,
      bytes: bytesOf(compare),
      tags: { read: readTags(acquire, compare), write: Tag.rmw | release },
      settle: (here, found) => setRegister(here, compare, found),
    });
    return undefined;
  };
}

type TwoRegisters = readonly [low: Register, high: Register];

/** What two registers hold, as one value of twice their width. */
function getPair(thread: ThreadRun, [low, high]: TwoRegisters): Tainted {
  const a = getRegister(thread, low);
  const b = getRegister(thread, high);
  return combine(a.value | (b.value << BigInt(low.bits)), a, b);
}

function setPair(thread: ThreadRun, [low, high]: TwoRegisters, both: Tainted): void {
  setRegister(thread, low, both);
  setRegister(thread, high, { ...both, value: both.value >> BigInt(low.bits) });
}

/** `CASP X0,X1,X2,X3,[X4]`: each pair is two registers that follow one another, the first of even number. */
function compareAndSwapPair({ acquire, release }: Ordering, cursor: Cursor): Step {
  const parseTwo = (): TwoRegisters => {
    const first = parseRegister(cursor);
    cursor.expect(',');
    const expected = next(first);
    if (cursor.token.text.toUpperCase() !== expected.text) cursor.fail(expected.text);
    cursor.next();
    cursor.expect(',');
    return [first, expected.register];
  };
  const compare = parseTwo();
  const from = parseTwo();
  const memory = parseMemory(cursor);
  return (thread) => {
    const expected = getPair(thread, compare);
    const value = getPair(thread, from);
    compareAndExchange(thread, memory.address(thread), {
      expected,
      value,
      bytes: 2 * bytesOf(compare[0]),
      tags: { read: Tag.rmw | acquire, write: Tag.rmw | release },
      settle: (here, found) => setPair(here, compare, found),
    });
    return undefined;
  };
}

function fetchAndModify(
  operation: Operation,
  returns: boolean,
  { acquire, release }: Ordering,
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
  const bytes = bytesOf(operand);
  return (thread) => {
    const value = getRegister(thread, operand);
    const address = memory.address(thread);
    const old = thread.read(address, readTags(acquire, to), { bytes });
    const written = BigInt.asUintN(operand.bits, operation(old.value, value.value, operand.bits));
    thread.write(address, combine(written, old, value), Tag.rmw | release, { rmw: thread.last, bytes });
    if (to !== undefined) setRegister(thread, to, old);
    return undefined;
  };
}
