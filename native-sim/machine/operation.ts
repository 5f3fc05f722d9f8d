/**
 * The operations of `Cpu` as the machine executes them: what each waits for, what it changes, how long it takes. `attempt`
 * is called when a thread gets to an operation, and again whenever what it waits for has come; it returns whether the
 * operation is done, with its result in `thread.result`.
 */

import { Barriers } from './barriers.ts';
import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import { Code, Order, Waits } from './codes.ts';
import type { Core } from './core.ts';
import { Exclusives, StoreExclusive } from './exclusives.ts';
import { PS } from './interconnect.ts';
import type { MemorySystem } from './memory-system.ts';
import type { Propagation } from './propagation.ts';
import type { Random } from './random.ts';
import type { SimThread } from './thread.ts';

/** Follows what threads do, for the models; see `history.ts`. */
export interface History {
  read(thread: SimThread, address: number, writer: number): void;
  /** A store enters the buffer. Returns its event. */
  store(thread: SimThread, address: number, value: number): number;
  /** A read-modify-write: what it read, and, unless it failed, what it wrote. Returns the event of the write. */
  modify(thread: SimThread, address: number, writer: number, value: number | null): number;
  fence(thread: SimThread): void;
}

/** What an operation costs, ps. */
export interface Costs {
  readonly l1: number;
  readonly l2: number;
  readonly store: number;
  readonly atomic: number;
  readonly fence: number;
  readonly spin: number;
}

export class Operations {
  readonly system: MemorySystem;
  readonly costs: Costs;
  history: History | null = null;
  /** A spinning thread reads again at the first turn from `time` on. */
  lookAgain: (thread: SimThread, time: number) => void = () => {};
  readonly #isWeak: boolean;
  readonly #bindsLoadsInOrder: boolean;
  readonly #propagation: Propagation | null;
  readonly #stores: number;
  readonly #forwards: boolean;
  readonly #exclusives: Exclusives | null;
  readonly barriers: Barriers;

  constructor(system: MemorySystem, costs: Costs, random: Random) {
    const { model, storeBuffer, exclusives } = system.profile;
    this.#exclusives = exclusives === undefined ? null : new Exclusives(system, random, exclusives.spurious);
    this.system = system;
    this.costs = costs;
    this.barriers = new Barriers(system, costs);
    this.#isWeak = model === 'armv8' || model === 'alpha' || model === 'power';
    this.#propagation = system.propagation;
    this.#bindsLoadsInOrder = model !== 'alpha' && model !== 'power';
    this.#stores = storeBuffer.entries;
    this.#forwards = storeBuffer.forwards;
  }

  attempt(core: Core, thread: SimThread): boolean {
    if (core.gate !== 0 && isLoad(thread.code) && !this.barriers.passesGate(core))
      return this.#waitFor(core, thread, Waits.drained);
    if (this.barriers.shareability !== null && this.barriers.isSpecial(thread))
      return this.barriers.access(core, thread) || this.#waitFor(core, thread, Waits.drained);
    switch (thread.code) {
      case Code.load:
        return this.#load(core, thread);
      case Code.loadAcquire:
        // RCsc: not before an earlier release is visible.
        if (this.#isWeak && core.hasBufferedRelease()) return this.#waitFor(core, thread, Waits.drained);
        return this.#load(core, thread);
      case Code.store:
      case Code.storeRelease:
        return this.#store(core, thread);
      case Code.cmpxchg:
      case Code.xchg:
      case Code.add:
      case Code.and:
      case Code.or:
        return this.#modify(core, thread);
      case Code.mb:
        return this.#fence(core, thread);
      case Code.rmb:
        this.#readBarrier(core);
        return this.#fenced(core, thread);
      case Code.wmb:
        if (this.#propagation === null) core.epoch++;
        else this.#propagation.lightBarrier(core);
        return this.#fenced(core, thread);
      case Code.condLoad:
      case Code.condLoadAcquire:
        return this.#condLoad(core, thread);
      case Code.now:
        thread.result = core.clock / PS;
        return true;
      case Code.dmb:
      case Code.dsb:
      case Code.isb:
      case Code.clean:
      case Code.cleanInvalidate:
        if (!this.barriers.execute(core, thread)) return this.#waitFor(core, thread, Waits.drained);
        if (thread.code <= Code.isb) this.history?.fence(thread);
        return true;
      default:
        core.clock += this.costs.spin;
        thread.result = 0;
        return true;
    }
  }

  #waitFor(core: Core, thread: SimThread, what: number): boolean {
    thread.waits = what;
    this.system.drain(core, core.clock);
    // What it waits for may have been a store to a line that the core owns already.
    const hasCome = what === Waits.drained ? core.stores.length === 0 : core.stores.length < this.#stores;
    return hasCome && this.attempt(core, thread);
  }

  // Loads

  /** Reads the thread's word, from wherever the core may have it. Returns false if it has to wait for the line. */
  #read(core: Core, thread: SimThread): boolean {
    const { address } = thread;
    const line = address >> LINE_SHIFT;
    const { system } = this;
    if (core.stores.length > 0) {
      const stored = core.buffered(address);
      if (stored !== undefined && this.#forwards) {
        system.counters.forwarded++;
        core.clock += this.costs.l1;
        thread.result = stored.value;
        this.history?.read(thread, address, stored.id);
        system.observer?.loaded(core, thread, 'buffer');
        return true;
      }
    }
    if (system.caches.state(core.number, line) !== 0) {
      if (system.caches.isInL1(core.number, line)) core.clock += this.costs.l1;
      else {
        core.clock += this.costs.l2;
        system.caches.promote(core.number, line);
      }
      this.#bind(core, core.clock);
      this.#propagation?.read(core, address);
      thread.result = system.memory[address]!;
      this.history?.read(thread, address, system.writers![address]!);
      system.observer?.loaded(core, thread, 'cache');
      return true;
    }
    if (core.invalidations.length > 0) {
      const queued = core.queuedInvalidation(line, core.clock);
      if (queued !== undefined && queued.arrived > (queued.isForeign ? core.foreignFloor : core.floor)) {
        system.counters.stale++;
        core.clock += this.costs.l1;
        // The load counts as made just before the invalidation arrived.
        this.#bind(core, queued.arrived - 1);
        this.#propagation?.readOld(core, queued.arrived);
        thread.result = queued.words[address % LINE_WORDS]!;
        this.history?.read(thread, address, queued.writers![address % LINE_WORDS]!);
        system.observer?.loaded(core, thread, 'queue');
        return true;
      }
    }
    thread.waits = Waits.line;
    thread.line = line;
    system.request(core, address, false, false, core.clock);
    return false;
  }

  /** A load was answered as of `time`: those that may not go behind it are later. */
  #bind(core: Core, time: number): void {
    if (this.#bindsLoadsInOrder && time > core.floor) core.floor = time;
  }

  #load(core: Core, thread: SimThread): boolean {
    if (!this.#read(core, thread)) return false;
    if (thread.code === Code.loadAcquire) this.#acquired(core);
    return true;
  }

  /** An acquire looks at the domain of what it reads, whichever that is. */
  #acquired(core: Core): void {
    this.#readBarrier(core);
    core.foreignFloor = core.floor;
  }

  /** Later loads read what is there now: invalidations that wait are carried out first. */
  #readBarrier(core: Core): void {
    if (this.#propagation !== null) this.#propagation.lightBarrier(core);
    else if (core.clock > core.floor) core.floor = core.clock;
  }

  #condLoad(core: Core, thread: SimThread): boolean {
    const { until, argument, system } = { until: thread.until!, argument: thread.y, system: this.system };
    const isForwarded = core.stores.length > 0 && core.buffered(thread.address) !== undefined;
    if (thread.code === Code.condLoadAcquire && this.#isWeak && core.hasBufferedRelease()) {
      return this.#waitFor(core, thread, Waits.drained);
    }
    if (!this.#read(core, thread)) return false;
    if (thread.spinStart < 0) thread.spinStart = core.clock;
    const turns = Math.floor((core.clock - thread.spinStart) / this.costs.spin) + 1;
    if (until(thread.result, argument) || turns >= thread.spins) {
      system.counters.spins += turns;
      if (thread.code === Code.condLoadAcquire) this.#acquired(core);
      return true;
    }
    // A value of its own that nobody else has seen yet: nothing can change it before it is visible.
    if (isForwarded) return this.#waitFor(core, thread, Waits.drained);
    thread.waits = Waits.spinning;
    thread.line = thread.address >> LINE_SHIFT;
    // It was an invalidated line that answered: it looks again once that is gone.
    if (system.caches.state(core.number, thread.line) === 0) {
      this.lookAgain(thread, core.queuedInvalidation(thread.line, core.clock)?.until ?? core.clock);
    }
    return false;
  }

  // Stores and read-modify-writes

  #store(core: Core, thread: SimThread): boolean {
    const { address, x: value } = thread;
    const line = address >> LINE_SHIFT;
    const { system } = this;
    const isRelease = thread.code === Code.storeRelease && this.#isWeak;
    if (isRelease) this.#propagation?.lightBarrier(core);
    if (core.stores.length === 0 && system.owns(core, line)) {
      core.clock += this.costs.store;
      system.observer?.stored(core, thread);
      system.write(core, address, value, this.history?.store(thread, address, value) ?? 0, core.clock);
      return true;
    }
    if (this.#stores === 0) {
      thread.waits = Waits.line;
      thread.line = line;
      system.request(core, address, true, false, core.clock);
      return false;
    }
    if (core.stores.length >= this.#stores) return this.#waitFor(core, thread, Waits.room);
    core.clock += this.costs.store;
    const id = this.history?.store(thread, address, value) ?? 0;
    system.observer?.stored(core, thread);
    const base = this.#propagation?.baseOf(core) ?? 0;
    system.buffer(core, { address, line, value, isRelease, base, epoch: core.epoch, id }, core.clock);
    return true;
  }

  /** Which earlier stores have to be visible before a read-modify-write is? */
  #mustDrain(core: Core, thread: SimThread, line: number): boolean {
    if (core.stores.length === 0) return false;
    if (!this.#isWeak || thread.order >= Order.release) return true;
    if (thread.order === Order.acquire && core.hasBufferedRelease()) return true;
    return core.hasBufferedLine(line) || core.hasEarlierEpoch(core.epoch);
  }

  #modify(core: Core, thread: SimThread): boolean {
    const { address } = thread;
    const line = address >> LINE_SHIFT;
    const { system } = this;
    if (this.#mustDrain(core, thread, line)) return this.#waitFor(core, thread, Waits.drained);
    if (this.#propagation !== null && thread.order >= Order.release)
      this.#barrierBefore(core, thread, this.#propagation);
    if (this.#exclusives !== null) return this.#modifyByPair(core, thread, this.#exclusives);
    if (!system.owns(core, line)) {
      thread.waits = Waits.line;
      thread.line = line;
      system.request(core, address, true, true, core.clock);
      return false;
    }
    core.clock += this.costs.atomic;
    this.#modified(core, thread, system.memory[address]!, system.writers === null ? 0 : system.writers[address]!);
    return true;
  }

  /** Load-exclusive, store-exclusive, until the latter succeeds; a comparison that fails stores nothing. */
  #modifyByPair(core: Core, thread: SimThread, exclusives: Exclusives): boolean {
    const { address } = thread;
    const line = address >> LINE_SHIFT;
    const waitsForLine = () => {
      thread.waits = Waits.line;
      thread.line = line;
      return false;
    };
    for (;;) {
      if (core.reserved !== line) {
        if (!exclusives.load(core, address, core.clock)) return waitsForLine();
        core.clock += this.costs.l1;
      }
      if (thread.code === Code.cmpxchg && core.reservedValue !== thread.x) {
        core.reserved = -1;
        break;
      }
      const stored = exclusives.store(core, address, core.clock);
      if (stored === StoreExclusive.waits) return waitsForLine();
      core.clock += this.costs.atomic;
      if (stored === StoreExclusive.done) break;
    }
    this.#modified(core, thread, core.reservedValue, core.reservedWriter);
    return true;
  }

  /** POWER: a sync in front of a fully ordered one, an lwsync in front of a release. All earlier stores are visible. */
  #barrierBefore(core: Core, { order }: SimThread, propagation: Propagation): void {
    if (order === Order.full) propagation.fullBarrier(core, core.clock);
    else propagation.lightBarrier(core);
  }

  #modified(core: Core, thread: SimThread, old: number, writer: number): void {
    const { address } = thread;
    const { system } = this;
    thread.result = old;
    this.#bind(core, core.clock);
    this.#propagation?.read(core, address);
    system.observer?.loaded(core, thread, 'cache');
    if (thread.code === Code.cmpxchg && old !== thread.x) {
      this.history?.modify(thread, address, writer, null);
      return;
    }
    const value = changed(thread, old);
    system.observer?.stored(core, thread);
    system.write(core, address, value, this.history?.modify(thread, address, writer, value) ?? 0, core.clock);
    if (thread.order === Order.full && this.#propagation !== null) this.#propagation.fullBarrier(core, core.clock);
    else if (thread.order === Order.full || thread.order === Order.acquire || !this.#isWeak) this.#acquired(core);
  }

  // Fences

  #fence(core: Core, thread: SimThread): boolean {
    if (core.stores.length > 0) return this.#waitFor(core, thread, Waits.drained);
    core.clock += this.costs.fence;
    if (this.#propagation === null) this.#readBarrier(core);
    else this.#propagation.fullBarrier(core, core.clock);
    return this.#fenced(core, thread);
  }

  #fenced(core: Core, thread: SimThread): boolean {
    core.clock += this.costs.store;
    thread.result = 0;
    this.history?.fence(thread);
    return true;
  }
}

function isLoad(code: number): boolean {
  return (
    code <= Code.loadAcquire ||
    (code >= Code.cmpxchg && code <= Code.or) ||
    code === Code.condLoad ||
    code === Code.condLoadAcquire
  );
}

function changed({ code, x, y }: SimThread, old: number): number {
  switch (code) {
    case Code.cmpxchg:
      return y;
    case Code.xchg:
      return x;
    case Code.add:
      return (old + x) | 0;
    case Code.and:
      return old & x;
    default:
      return old | x;
  }
}
