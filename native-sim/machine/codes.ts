/** Operations of `Cpu`, their orders and outcomes, and what a thread may wait for, as numbers. */
export const Code = {
  load: 0,
  loadAcquire: 1,
  store: 2,
  storeRelease: 3,
  /** Read-modify-writes: `change` says what is written, `Order` what they order. */
  cmpxchg: 4,
  xchg: 5,
  add: 6,
  and: 7,
  or: 8,
  mb: 9,
  rmb: 10,
  wmb: 11,
  condLoad: 12,
  condLoadAcquire: 13,
  relax: 14,
  wait: 15,
  wake: 16,
  now: 17,
  work: 18,
  /** Arm's: `x` is the domain of a barrier, `y` what it orders; see `barrier.ts`. */
  dmb: 19,
  dsb: 20,
  isb: 21,
  clean: 22,
  cleanInvalidate: 23,
} as const;

export const Outcome = { ok: 0, notEqual: 1, timedOut: 2 } as const;

export const Order = { relaxed: 0, acquire: 1, release: 2, full: 3 } as const;

export const Waits = { nothing: 0, line: 1, drained: 2, room: 3, spinning: 4, asleep: 5, call: 6 } as const;
