/**
 * A candidate execution: what happened, and in which order memory saw it. The events are reads, writes and fences; a
 * read-modify-write is a read and a write joined by `rmw`. A memory model is a predicate over one of these.
 *
 * Filled in three steps, and reusable (nothing is allocated once warm):
 *
 *     x.begin(count);                                     // at most `count` events
 *     const w = x.write(thread, address, value, Tag.release);    // events of one thread in program order
 *     const r = x.read(otherThread, address, value, Tag.acquire);
 *     x.rf.add(w, r);                                     // a read with no rf edge reads the initial value
 *     x.coherence([w, w2]);                               // the writes of one address, oldest first
 *     x.finish();                                         // derives po, loc, int, fr
 *     model.violation(x);                                 // null, or the name of the axiom that fails
 *
 * For many candidates that differ only in `rf` and `co`, everything else is laid out once: after the events and their
 * dependencies, `x.fix(model)`; then, for each candidate, `x.again()`, `rf` and `coherence`, and `x.communicate()`.
 *
 * There are no events for initial values: the initial write of an address precedes every other write to it, so `fr`
 * leads from a read without an rf edge to every write of the address, and nothing else could ever lead to it.
 */
import { type EventSet, type Relation, Universe } from './relation.ts';

/** What an event is. */
export const Kind = { read: 1, write: 2, fence: 4 } as const;

/** What an access promises. Bits, so that they combine. */
export const Tag = {
  none: 0,
  /** Acquire: LDAR, LDAXR, SWPA..., `smp_load_acquire`. In cat: A (Armv8), Acquire (LKMM). */
  acquire: 1 << 0,
  /** LDAPR: an acquire that may pass an earlier release to another location. Q in the Armv8 model. */
  acquirePc: 1 << 1,
  /** Release: STLR, STLXR, SWPL..., `smp_store_release`. L (Armv8), Release (LKMM). */
  release: 1 << 2,
  /** Half of a read-modify-write. */
  rmw: 1 << 3,
  /** Half of a load-exclusive/store-exclusive pair, as opposed to a single instruction. */
  exclusive: 1 << 4,
  /** The read of a read-modify-write that returns nothing: STADD, `atomic_inc`. */
  noReturn: 1 << 5,
  /** An ordinary access of the language: the compiler may do what it likes with it. */
  plain: 1 << 6,
  /** Spin locks, as the LKMM sees them: the read and the write of a lock, and an unlock. */
  lockRead: 1 << 7,
  lockWrite: 1 << 8,
  unlock: 1 << 9,
  /** A read that only looks whether a spin lock is held: a `spin_trylock` that fails, `spin_is_locked`. */
  lockLook: 1 << 10,
  /** A barrier that reaches the cores of its own inner shareable domain: DMB ISH, and so all of the kernel's. */
  inner: 1 << 11,
} as const;

/** What a fence is. */
export const Fence = {
  none: 0,
  /** The kernel's barriers. */
  mb: 1,
  rmb: 2,
  wmb: 3,
  barrier: 4,
  beforeAtomic: 5,
  afterAtomic: 6,
  afterSpinlock: 7,
  afterUnlockLock: 8,
  afterSrcuReadUnlock: 9,
  rcuLock: 10,
  rcuUnlock: 11,
  syncRcu: 12,
  syncSrcu: 13,
  /** These carry the address of their `srcu_struct`; `data` leads from a lock to the unlock that got its index. */
  srcuLock: 14,
  srcuUnlock: 15,
  /** Armv8. A DMB and a DSB differ, as far as a memory access can see, only in their ST form. */
  dmbFull: 20,
  dmbLd: 21,
  dmbSt: 22,
  isb: 23,
  /** A barrier that reaches only this core's own observers (NSH): it orders nothing that another core can see. */
  dmbNsh: 24,
  /** Unlike a DMB ST, it orders stores before later loads too. */
  dsbSt: 25,
  /** x86. */
  mfence: 30,
  lfence: 31,
  sfence: 32,
  /** RISC-V, by what they order before and after: reads, writes, or both (M). */
  riscvRR: 40,
  riscvRW: 41,
  riscvRM: 42,
  riscvWR: 43,
  riscvWW: 44,
  riscvWM: 45,
  riscvMR: 46,
  riscvMW: 47,
  riscvMM: 48,
  riscvTso: 49,
  /** Power. */
  sync: 50,
  lwsync: 51,
  eieio: 52,
  isync: 53,
} as const;

export interface Model {
  readonly name: string;
  /** It knows what becomes of an access that stands as several events, one for each part. */
  readonly dividesAccesses?: boolean;
  /** The name of the first axiom that `x` breaks, or null: the model allows it. */
  violation(x: Execution): string | null;
  /** What is wrong with the program rather than forbidden to it, in an execution that the model allows: races. */
  flags?(x: Execution): string[];
  /** The orders that hold whatever is read and in whichever order memory sees it: from events and dependencies alone. */
  fixed?(x: Execution): unknown;
}

export class Execution {
  readonly universe = new Universe();
  /** How many events there are. */
  count = 0;
  thread = new Int16Array(64);
  kind = new Uint8Array(64);
  tags = new Int32Array(64);
  fence = new Uint8Array(64);
  address = new Int32Array(64);
  value = new Int32Array(64);
  /** The instruction, and the single-copy-atomic access, that the event is part of: by the first event of it. */
  instruction = new Int32Array(64);
  access = new Int32Array(64);

  /** Program order, transitive. Derived by `finish`. */
  po!: Relation;
  /** Reads-from: from a write to a read. */
  rf!: Relation;
  /** Coherence: the order of the writes of one address, transitive. */
  co!: Relation;
  /** From-read: from a read to every write that overwrote what it read. Derived. */
  fr!: Relation;
  /** From the read half of a read-modify-write to its write half. */
  rmw!: Relation;
  /** Address, data and control dependencies, from a read. */
  addr!: Relation;
  data!: Relation;
  ctrl!: Relation;
  /** Armv8's pick dependencies: the value chooses between two others (CSEL, CAS) and is none of them itself. */
  pickAddr!: Relation;
  pickData!: Relation;
  pickCtrl!: Relation;
  /** From a read that decides, inside an instruction, whether that instruction writes (CAS), to the write. */
  guard!: Relation;
  /** Same instruction (`si`) and same single-copy-atomic access (`sm`). Derived, reflexive. */
  si!: Relation;
  sm!: Relation;
  /** Same address; same thread. Derived, reflexive. */
  loc!: Relation;
  int!: Relation;

  R!: EventSet;
  W!: EventSet;
  F!: EventSet;
  /** R | W */
  M!: EventSet;

  /** Some access stands as several events. Derived. */
  divided = false;

  /** What `Model.fixed` found, where `fix` asked it. */
  fixed: unknown = null;

  #last = new Map<number, number>();
  #classes = new Map<number, EventSet>();

  begin(capacity: number): void {
    this.count = 0;
    this.fixed = null;
    if (this.thread.length < capacity) this.#grow(capacity * 2);
    const u = this.universe;
    u.reset(capacity);
    this.po = u.relation();
    this.rf = u.relation();
    this.co = u.relation();
    this.rmw = u.relation();
    this.addr = u.relation();
    this.data = u.relation();
    this.ctrl = u.relation();
    this.pickAddr = u.relation();
    this.pickData = u.relation();
    this.pickCtrl = u.relation();
    this.guard = u.relation();
  }

  #grow(capacity: number): void {
    this.thread = new Int16Array(capacity);
    this.kind = new Uint8Array(capacity);
    this.tags = new Int32Array(capacity);
    this.fence = new Uint8Array(capacity);
    this.address = new Int32Array(capacity);
    this.value = new Int32Array(capacity);
    this.instruction = new Int32Array(capacity);
    this.access = new Int32Array(capacity);
  }

  #event(thread: number, kind: number, address: number, value: number, tags: number, fence: number): number {
    const id = this.count++;
    if (id >= this.universe.size) throw new RangeError(`execution: more than the ${this.universe.size} events begun`);
    this.thread[id] = thread;
    this.kind[id] = kind;
    this.address[id] = address;
    this.value[id] = value;
    this.tags[id] = tags;
    this.fence[id] = fence;
    this.instruction[id] = id;
    this.access[id] = id;
    return id;
  }

  read(thread: number, address: number, value: number, tags: number = Tag.none): number {
    return this.#event(thread, Kind.read, address, value, tags, Fence.none);
  }

  write(thread: number, address: number, value: number, tags: number = Tag.none): number {
    return this.#event(thread, Kind.write, address, value, tags, Fence.none);
  }

  /** `address` matters to SRCU alone. */
  barrier(thread: number, fence: number, address = -1): number {
    return this.#event(thread, Kind.fence, address, 0, Tag.none, fence);
  }

  /** The writes of one address, oldest first. */
  coherence(writes: ArrayLike<number>, length: number = writes.length): void {
    for (let later = 1; later < length; later++) {
      for (let earlier = 0; earlier < later; earlier++) this.co.add(writes[earlier]!, writes[later]!);
    }
  }

  /** Derive what follows from the events, `rf` and `co`. */
  finish(): void {
    this.#deriveFromEvents();
    this.communicate();
  }

  /** Derive what follows from the events and their dependencies, for all candidates that share them. */
  fix(model: Model): void {
    this.#deriveFromEvents();
    this.fixed = model.fixed?.(this) ?? null;
    this.universe.keep();
  }

  /** Begin another candidate of the same events. */
  again(): void {
    this.universe.again();
    this.rf = this.universe.relation();
    this.co = this.universe.relation();
  }

  /**
   * Derive what follows from `rf` and `co`. Where only addresses below `decided` have been given theirs, no `fr` is
   * derived for the others: every relation is then part of what it will be, so that an axiom that breaks now is broken in
   * the end.
   */
  communicate(decided = Number.POSITIVE_INFINITY): void {
    this.fr = this.universe.relation();
    this.#deriveFromRead(decided);
  }

  #deriveFromEvents(): void {
    const u = this.universe;
    const n = this.count;
    const { stride } = u;
    this.loc = u.relation();
    this.int = u.relation();
    this.R = u.set();
    this.W = u.set();
    this.F = u.set();
    // po and int row by row: the row of an event is the events of its thread seen so far, going backwards.
    const last = this.#last;
    last.clear();
    for (let a = n - 1; a >= 0; a--) {
      const kind = this.kind[a]!;
      (kind === Kind.read ? this.R : kind === Kind.write ? this.W : this.F).add(a);
      const next = last.get(this.thread[a]!);
      if (next !== undefined) {
        for (let w = 0; w < stride; w++) this.po.bits[a * stride + w] = this.po.bits[next * stride + w]!;
        this.po.add(a, next);
      }
      last.set(this.thread[a]!, a);
    }
    this.#sharing(this.thread, this.int);
    this.#sharing(this.address, this.loc);
    this.si = u.relation();
    this.sm = u.relation();
    this.#sharing(this.instruction, this.si);
    this.#sharing(this.access, this.sm);
    this.M = this.R.or(this.W);
    this.divided = this.access.subarray(0, n).some((first, event) => first !== event);
  }

  /** Relate the events that have the same entry in `column`; negative entries are nobody's. */
  #sharing(column: Int16Array | Int32Array, relation: Relation): void {
    const { stride } = this.universe;
    const classes = this.#classes;
    classes.clear();
    for (let a = 0; a < this.count; a++) {
      const key = column[a]!;
      if (key < 0) continue;
      let members = classes.get(key);
      if (members === undefined) classes.set(key, (members = this.universe.set()));
      members.add(a);
    }
    for (let a = 0; a < this.count; a++) {
      const members = classes.get(column[a]!);
      if (members === undefined) continue;
      for (let w = 0; w < stride; w++) relation.bits[a * stride + w] = members.bits[w]!;
    }
  }

  #deriveFromRead(decided: number): void {
    const { stride } = this.universe;
    const overwritten = this.universe.set();
    for (let w = 0; w < this.count; w++) {
      if (this.kind[w] !== Kind.write) continue;
      for (let v = 0; v < stride; v++) {
        let row = this.rf.bits[w * stride + v]!;
        while (row !== 0) {
          const low = row & -row;
          row ^= low;
          const read = v * 32 + 31 - Math.clz32(low);
          overwritten.add(read);
          for (let k = 0; k < stride; k++) this.fr.bits[read * stride + k]! |= this.co.bits[w * stride + k]!;
        }
      }
    }
    for (let read = 0; read < this.count; read++) {
      if (this.kind[read] !== Kind.read || overwritten.has(read) || this.address[read]! >= decided) continue;
      for (let k = 0; k < stride; k++) {
        this.fr.bits[read * stride + k] = this.loc.bits[read * stride + k]! & this.W.bits[k]!;
      }
    }
  }

  /** The accesses of `kind` that carry every one of `tags`. */
  tagged(kind: number, tags: number): EventSet {
    const result = this.universe.set();
    for (let a = 0; a < this.count; a++) {
      if ((this.kind[a]! & kind) !== 0 && (this.tags[a]! & tags) === tags) result.add(a);
    }
    return result;
  }

  /** The fences of one kind, or of either of two or three. */
  fences(one: number, two: number = one, three: number = one): EventSet {
    const result = this.universe.set();
    for (let a = 0; a < this.count; a++) {
      const fence = this.fence[a]!;
      if (fence !== 0 && (fence === one || fence === two || fence === three)) result.add(a);
    }
    return result;
  }

  /** The part of `r` between different threads (rfe, coe, fre), and within one thread (rfi, coi, fri). */
  external(r: Relation): Relation {
    return r.minus(this.int);
  }
  internal(r: Relation): Relation {
    return r.and(this.int);
  }
}
