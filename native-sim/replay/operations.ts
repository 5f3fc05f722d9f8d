/**
 * The operations of `Cpu` by number, once for all machines that execute them, and what else may stand in the record of a
 * thread: a death, memory given out or back. The four orders of a read-modify-write stand side by side, so that its kind
 * and its order can be told from the number.
 */

export type Order = 'relaxed' | 'acquire' | 'release' | 'full';

const ORDERS = ['relaxed', 'acquire', 'release', 'full'] as const;

/** The number of each operation. */
export const Op = {
  load: 0,
  loadAcquire: 1,
  store: 2,
  storeRelease: 3,
  // Read-modify-writes, four of each kind: relaxed, acquire, release, full.
  cmpxchgRelaxed: 4,
  cmpxchgAcquire: 5,
  cmpxchgRelease: 6,
  cmpxchg: 7,
  xchgRelaxed: 8,
  xchgAcquire: 9,
  xchgRelease: 10,
  xchg: 11,
  fetchAddRelaxed: 12,
  fetchAddAcquire: 13,
  fetchAddRelease: 14,
  fetchAdd: 15,
  fetchSubRelaxed: 16,
  fetchSubAcquire: 17,
  fetchSubRelease: 18,
  fetchSub: 19,
  fetchAndRelaxed: 20,
  fetchAndAcquire: 21,
  fetchAndRelease: 22,
  fetchAnd: 23,
  fetchOrRelaxed: 24,
  fetchOrAcquire: 25,
  fetchOrRelease: 26,
  fetchOr: 27,
  mb: 28,
  rmb: 29,
  wmb: 30,
  condLoad: 31,
  condLoadAcquire: 32,
  relax: 33,
  wait: 34,
  wake: 35,
  now: 36,
  ndelay: 37,
  // Ordinary data.
  read: 38,
  write: 39,
  // Not of `Cpu`: what a search writes down about memory and about deaths.
  allocate: 40,
  free: 41,
  death: 42,
  reap: 43,
  // Not of `Cpu` either: Arm's barriers and cache maintenance, which the timed machine has.
  dmb: 44,
  dsb: 45,
  isb: 46,
  clean: 47,
  cleanInvalidate: 48,
  // Nor this: a turn of an event loop, in the explored one.
  turn: 49,
} as const;

export type OpName = keyof typeof Op;

/** A power of two above all numbers: an address and an operation make one number. */
export const OPERATIONS = 64;

const NAMES = Object.keys(Op) as OpName[];

export function opName(op: number): OpName {
  return NAMES[op]!;
}

/** The kinds of read-modify-writes, as `kindOf` tells them. */
export const Change = { cmpxchg: 0, xchg: 1, add: 2, sub: 3, and: 4, or: 5 } as const;

export function isReadModifyWrite(op: number): boolean {
  return op >= Op.cmpxchgRelaxed && op <= Op.fetchOr;
}

/** What a read-modify-write writes: a number of `Change`. */
export function kindOf(op: number): number {
  return (op - Op.cmpxchgRelaxed) >> 2;
}

/** What a read-modify-write orders: 0 nothing, 1 acquire, 2 release, 3 all. */
export function strengthOf(op: number): number {
  return op & 3;
}

/** The value that a read-modify-write other than a compare-and-exchange leaves. */
export function changed(op: number, old: number, operand: number): number {
  switch (kindOf(op)) {
    case Change.xchg:
      return operand | 0;
    case Change.add:
      return (old + operand) | 0;
    case Change.sub:
      return (old - operand) | 0;
    case Change.and:
      return old & operand;
    default:
      return old | operand;
  }
}

/** The order that the name of an operation states; null where it has none to state: plain data, fences, bookkeeping. */
export function orderOf(op: number): Order | null {
  if (isReadModifyWrite(op)) return ORDERS[strengthOf(op)]!;
  if (op === Op.load || op === Op.store || op === Op.condLoad) return 'relaxed';
  if (op === Op.loadAcquire || op === Op.condLoadAcquire) return 'acquire';
  return op === Op.storeRelease ? 'release' : null;
}

export function isFence(op: number): boolean {
  return op === Op.mb || op === Op.rmb || op === Op.wmb;
}
