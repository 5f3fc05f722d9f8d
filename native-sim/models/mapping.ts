/**
 * What a kernel operation becomes on a machine: the instruction-level events that the hardware models speak of. The
 * arm64 kernel's choice of instructions (arch/arm64/include/asm/{barrier,atomic_lse,atomic_ll_sc,cmpxchg}.h), the
 * x86 kernel's (arch/x86/include/asm/{barrier,atomic,cmpxchg}.h), and the powerpc kernel's:
 *
 * | kernel           | arm64, LSE      | arm64, LL/SC                  | x86            | powerpc             |
 * |------------------|-----------------|-------------------------------|----------------|---------------------|
 * | load, store      | LDR, STR        | the same                      | MOV            | ld, st              |
 * | loadAcquire      | LDAR            | the same                      | MOV            | ld; lwsync          |
 * | storeRelease     | STLR            | the same                      | MOV            | lwsync; st          |
 * | RMW, relaxed     | SWP             | LDXR ... STXR                 | LOCK           | lwarx ... stwcx.    |
 * | RMW, acquire     | SWPA            | LDAXR ... STXR                | LOCK           | ...; lwsync         |
 * | RMW, release     | SWPL            | LDXR ... STLXR                | LOCK           | lwsync; ...         |
 * | RMW, full        | SWPAL           | LDXR ... STLXR; DMB ISH       | LOCK           | sync; ...; sync     |
 * | mb, rmb, wmb     | DMB ISH, ISHLD, ISHST | the same                | MFENCE, -, -   | sync, lwsync, lwsync |
 *
 * A compare-and-exchange that fails becomes a bare load everywhere, although CASA and a failed LOCK CMPXCHG order
 * more: that is what the kernel promises of it, and code must not lean on more. (In the LKMM it still counts as an atomic
 * operation for the barriers that stand around those.)
 */
import { Fence, Tag } from './execution.ts';

export type Order = 'relaxed' | 'acquire' | 'release' | 'full';

/** An operation as events: a fence, an access (one half or both), a fence. `Fence.none` means there is none. */
export interface Instructions {
  readonly before: number;
  /** Tags of the read half, where there is one. */
  readonly read: number;
  /** Tags of the write half, where there is one. */
  readonly write: number;
  readonly after: number;
}

export interface Mapping {
  readonly load: Readonly<Record<'relaxed' | 'acquire', Instructions>>;
  readonly store: Readonly<Record<'relaxed' | 'release', Instructions>>;
  readonly rmw: Readonly<Record<Order, Instructions>>;
  /** A compare-and-exchange that found another value: a read, and no write. */
  readonly failed: Instructions;
  /** Plain data. */
  readonly plain: Instructions;
  readonly mb: number;
  readonly rmb: number;
  readonly wmb: number;
}

function access(read: number, write: number, before: number = Fence.none, after: number = Fence.none): Instructions {
  return { before, read, write, after };
}

const bare = access(Tag.none, Tag.none);
const plain = access(Tag.plain, Tag.plain);
const locked = access(Tag.rmw, Tag.rmw);

export const x86Mapping: Mapping = {
  load: { relaxed: bare, acquire: bare },
  store: { relaxed: bare, release: bare },
  rmw: { relaxed: locked, acquire: locked, release: locked, full: locked },
  failed: bare,
  plain,
  mb: Fence.mfence,
  rmb: Fence.none,
  wmb: Fence.none,
};

/** Sequential consistency needs no fence at all. */
export const scMapping: Mapping = { ...x86Mapping, mb: Fence.none };

const armv8Common = {
  load: { relaxed: bare, acquire: access(Tag.acquire, Tag.none) },
  store: { relaxed: bare, release: access(Tag.none, Tag.release) },
  failed: bare,
  plain,
  mb: Fence.dmbFull,
  rmb: Fence.dmbLd,
  wmb: Fence.dmbSt,
};

export const armv8LseMapping: Mapping = {
  ...armv8Common,
  rmw: {
    relaxed: locked,
    acquire: access(Tag.rmw | Tag.acquire, Tag.rmw),
    release: access(Tag.rmw, Tag.rmw | Tag.release),
    full: access(Tag.rmw | Tag.acquire, Tag.rmw | Tag.release),
  },
};

const exclusive = Tag.rmw | Tag.exclusive;

export const armv8LlscMapping: Mapping = {
  ...armv8Common,
  rmw: {
    relaxed: access(exclusive, exclusive),
    acquire: access(exclusive | Tag.acquire, exclusive),
    release: access(exclusive, exclusive | Tag.release),
    full: access(exclusive, exclusive | Tag.release, Fence.none, Fence.dmbFull),
  },
};

/** powerpc: arch/powerpc/include/asm/{barrier,atomic,cmpxchg,synch}.h. */
export const powerMapping: Mapping = {
  load: { relaxed: bare, acquire: access(Tag.none, Tag.none, Fence.none, Fence.lwsync) },
  store: { relaxed: bare, release: access(Tag.none, Tag.none, Fence.lwsync) },
  rmw: {
    relaxed: access(exclusive, exclusive),
    acquire: access(exclusive, exclusive, Fence.none, Fence.lwsync),
    release: access(exclusive, exclusive, Fence.lwsync),
    full: access(exclusive, exclusive, Fence.sync, Fence.sync),
  },
  failed: bare,
  plain,
  mb: Fence.sync,
  rmb: Fence.lwsync,
  wmb: Fence.lwsync,
};

/** The LKMM speaks of the kernel's operations themselves. */
export const lkmmMapping: Mapping = {
  load: { relaxed: bare, acquire: access(Tag.acquire, Tag.none) },
  store: { relaxed: bare, release: access(Tag.none, Tag.release) },
  rmw: {
    relaxed: locked,
    acquire: access(Tag.rmw | Tag.acquire, Tag.rmw),
    release: access(Tag.rmw, Tag.rmw | Tag.release),
    full: access(Tag.rmw, Tag.rmw, Fence.mb, Fence.mb),
  },
  failed: access(Tag.rmw, Tag.none),
  plain,
  mb: Fence.mb,
  rmb: Fence.rmb,
  wmb: Fence.wmb,
};
