/**
 * What an event of an explored execution is: an operation by number, and what it promises as bits.
 *
 * A read-modify-write is two events, its read and its write; `wait` is up to five (see futex.ts). Orders are carried by
 * the events, not looked up from the operation, so that weakening or strengthening one call site is a change of bits
 * at the moment the event is made.
 */
import { Op, type Order } from '../replay/operations.ts';
import { Access } from '../replay/replayed-cpu.ts';

export const READ = 1 << 0;
export const WRITE = 1 << 1;
export const FENCE = 1 << 2;
/** Half of a read-modify-write. */
export const RMW = 1 << 3;
export const ACQUIRE = 1 << 4;
export const RELEASE = 1 << 5;
/** A fence that orders everything, or the write of a read-modify-write that does. */
export const FULL = 1 << 6;
/** Ordinary data: unordered conflicting accesses are a data race. */
export const PLAIN = 1 << 7;
/** A read that waits for a value: it reads nothing until there is a write that satisfies it. */
export const AWAIT = 1 << 8;
/** Fences: reads before it stay before everything after it (DMB LD); writes stay before writes (DMB ST). */
export const FENCE_LD = 1 << 9;
export const FENCE_ST = 1 << 10;
/** The read of a compare-and-exchange: it is half of a read-modify-write only when it finds what it expects. */
export const CAS = 1 << 11;
/** A write that takes the word away: whoever reads it reads memory that is uninitialised, or freed. */
export const POISON = 1 << 12;
/** Bookkeeping of the machine (futex queues, deaths), on locations that no program can name. */
export const HIDDEN = 1 << 13;

/** The read of a compare-and-exchange becomes an acquire when it succeeds. */
export const CAS_ACQUIRE = 1 << 14;
/** Not an access: one of several ways to go on, by number; `arg` is the canonical one. Orders nothing. */
export const CHOICE = 1 << 15;

/** An ordinary access where a processor keeps its order anyway: atomic, but not to the JavaScript model. */
export const ORDINARY = 1 << 16;

/** Reads-from: the initial value; nothing, because the read is blocked. */
export const INIT = -1;
export const NOTHING = -2;

/** How many kinds of events `thread-order.ts` tells apart. */
export const KINDS = 6;

/** The bits that an order adds to the read half of an operation. */
export function readBits(order: Order): number {
  return order === 'acquire' ? ACQUIRE : 0;
}

/** The bits that an order adds to the write half of an operation. */
export function writeBits(order: Order): number {
  return order === 'release' ? RELEASE : order === 'full' ? RELEASE | FULL : 0;
}

/** What `condLoad`, a load or a store promises by its number, and by the way in which it is made. */
export function accessBits(op: number, access: number): number {
  const order = op === Op.loadAcquire || op === Op.condLoadAcquire ? ACQUIRE : op === Op.storeRelease ? RELEASE : 0;
  return access === Access.marked ? order : order | (access === Access.plain ? PLAIN : ORDINARY);
}

export function fenceBits(op: number): number {
  return op === Op.mb ? FENCE | FULL : op === Op.rmb ? FENCE | FENCE_LD : FENCE | FENCE_ST;
}
