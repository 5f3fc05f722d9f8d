/** What a thread of the machine is at, its outcome, and what it may wait for, as numbers. */
import { Op } from '../replay/operations.ts';

/** Operations of `Cpu` without their orders: a read-modify-write stands under its first number, `Order` says the rest. */
export const Code = {
  load: Op.load,
  loadAcquire: Op.loadAcquire,
  store: Op.store,
  storeRelease: Op.storeRelease,
  cmpxchg: Op.cmpxchgRelaxed,
  xchg: Op.xchgRelaxed,
  /** Subtractions add the negative. */
  add: Op.fetchAddRelaxed,
  and: Op.fetchAndRelaxed,
  or: Op.fetchOrRelaxed,
  mb: Op.mb,
  rmb: Op.rmb,
  wmb: Op.wmb,
  condLoad: Op.condLoad,
  condLoadAcquire: Op.condLoadAcquire,
  relax: Op.relax,
  wait: Op.wait,
  wake: Op.wake,
  now: Op.now,
  work: Op.ndelay,
  /** Arm's: `x` is the domain of a barrier, `y` what it orders; see `barrier.ts`. */
  dmb: Op.dmb,
  dsb: Op.dsb,
  isb: Op.isb,
  clean: Op.clean,
  cleanInvalidate: Op.cleanInvalidate,
} as const;

export const Outcome = { ok: 0, notEqual: 1, timedOut: 2 } as const;

/** As `strengthOf` tells it from an operation. */
export const Order = { relaxed: 0, acquire: 1, release: 2, full: 3 } as const;

export const Waits = { nothing: 0, line: 1, drained: 2, room: 3, spinning: 4, asleep: 5, call: 6 } as const;
