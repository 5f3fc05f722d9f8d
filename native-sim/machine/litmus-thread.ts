/**
 * One thread of a litmus test on a core that executes out of order. What the thread can do stands in its traces (one for
 * each combination of values that its reads may return); what it has read so far says which of them are still possible.
 * An event that all of those have in common is known, and may be executed as soon as nothing that the model keeps in
 * order before it is missing: its dependencies, barriers, acquires and releases, accesses of the same word.
 */
import type { Trace, TraceEvent } from '../litmus/thread-run.ts';
import { Fence, Kind, Tag } from '../models/execution.ts';
import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import type { Core } from './core.ts';
import { type Exclusives, StoreExclusive } from './exclusives.ts';
import type { MemorySystem } from './memory-system.ts';

/** What a run knows of the test: words for addresses, small numbers for values. */
export interface Words {
  address(address: bigint): number;
  value(value: bigint): number;
}

const NEVER = -1;

/** An event of the thread: a read is performed, a write is in the buffer, then visible, a barrier is passed. */
interface Progress {
  /** When a read was performed, a write became visible, a barrier was passed; NEVER: not yet. */
  doneAt: number;
  /** A write is in the store buffer. */
  isBuffered: boolean;
  /** Not before this: processors differ in when they get to an instruction. */
  notBefore: number;
  /** The write that a read read from: its id, 0 for the initial value. */
  from: number;
}

/** Ids of writes: they say whose they are. */
export function writeId(thread: number, event: number): number {
  return thread * 64 + event + 1;
}

export class LitmusThread {
  readonly #number: number;
  readonly #core: Core;
  readonly #system: MemorySystem;
  readonly #words: Words;
  readonly #model: string;
  /** Nothing is done while an earlier store is not visible. */
  readonly #waitsForStores: boolean;
  /** How read-modify-writes are made, where not by one instruction. */
  readonly #exclusives: Exclusives | null;
  #possible: readonly Trace[];
  readonly progress: Progress[];
  #isRunning = false;

  constructor(
    number: number,
    core: Core,
    system: MemorySystem,
    words: Words,
    traces: readonly Trace[],
    notBefore: (event: number) => number,
    exclusives: Exclusives | null = null,
  ) {
    this.#exclusives = exclusives;
    this.#number = number;
    this.#core = core;
    this.#system = system;
    this.#words = words;
    this.#model = system.profile.model;
    this.#waitsForStores = this.#model === 'sc' || system.profile.storeBuffer.entries === 0;
    this.#possible = traces;
    const most = Math.max(...traces.map((trace) => trace.events.length));
    this.progress = Array.from({ length: most }, (_, event) => ({
      doneAt: NEVER,
      isBuffered: false,
      notBefore: notBefore(event),
      from: 0,
    }));
  }

  /** The one trace that is left when the thread is at its end; undefined before. */
  get trace(): Trace | undefined {
    const [trace] = this.#possible;
    if (this.#possible.length !== 1 || trace === undefined) return undefined;
    return trace.events.every((_, event) => this.progress[event]!.doneAt !== NEVER) ? trace : undefined;
  }

  /** A store of this thread is visible. */
  committed(event: number, time: number): void {
    this.progress[event]!.doneAt = time;
  }

  /** Executes what can be executed at `time`. */
  advance(time: number): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let again = true; again; ) {
      again = false;
      for (let at = 0; at < this.progress.length; at++) {
        const event = this.#known(at);
        if (event === undefined) break;
        const { doneAt, isBuffered, notBefore } = this.progress[at]!;
        if (doneAt !== NEVER || isBuffered || notBefore > time || !this.#mayExecute(at, event)) continue;
        again = this.#execute(at, event, time) || again;
      }
    }
    this.#isRunning = false;
  }

  /** The event at `at`, if it is the same in all traces that are possible; of a read that is to be made, bar its value. */
  #known(at: number): TraceEvent | undefined {
    const [first, ...others] = this.#possible;
    const event = first?.events[at];
    if (event === undefined) return undefined;
    for (const { events } of others) {
      const other = events[at];
      const isSame =
        other !== undefined &&
        other.kind === event.kind &&
        other.fence === event.fence &&
        other.address === event.address &&
        (event.kind === Kind.read || (other.value === event.value && other.rmw === event.rmw));
      if (!isSame) return undefined;
    }
    return event;
  }

  /** The write half that a read may have, in whichever trace. */
  #writeHalf(at: number): TraceEvent | undefined {
    for (const { events } of this.#possible) {
      const half = events[at + 1];
      if (half?.kind === Kind.write && half.rmw === at) return half;
    }
    return undefined;
  }

  #isDone(at: number): boolean {
    return this.progress[at]!.doneAt !== NEVER;
  }

  #execute(at: number, event: TraceEvent, time: number): boolean {
    if (event.kind === Kind.fence) return this.#passFence(at, event, time);
    if (event.kind === Kind.write) return event.rmw < 0 && this.#store(at, event, time);
    const half = this.#writeHalf(at);
    return half === undefined ? this.#read(at, event, time) : this.#modify(at, event, half, time);
  }

  // What must come first

  /** Has all been done that the model keeps before the event? */
  #mayExecute(at: number, event: TraceEvent): boolean {
    const half = event.kind === Kind.read ? this.#writeHalf(at) : undefined;
    const writes = event.kind === Kind.write || half !== undefined;
    const isRelease = ((event.kind === Kind.write ? event.tags : (half?.tags ?? 0)) & Tag.release) !== 0;
    const needs = event.addr | event.data | (half?.data ?? 0n) | (writes ? event.ctrl | (half?.ctrl ?? 0n) : 0n);
    for (let before = 0; before < at; before++) {
      const earlier = this.#known(before)!;
      if (earlier.kind === Kind.fence) {
        if (!this.#isDone(before)) return false;
      } else if (earlier.kind === Kind.read) {
        if (!this.#isDone(before) && this.#waitsForRead(event, earlier, needs, writes, isRelease)) return false;
        // A write must not be seen while an earlier access may still turn out to have another address.
      } else if (!this.#isDone(before) && this.#waitsForWrite(at, event, before, earlier, writes)) return false;
      if (writes && (this.#unread(earlier.addr) || this.#unread(event.addr))) return false;
    }
    return true;
  }

  /** Is one of these reads, by their number in the thread, still to be made? */
  #unread(reads: bigint): boolean {
    if (reads === 0n) return false;
    const events = this.#possible[0]!.events;
    return events.some(
      (event, at) => event.read >= 0 && (reads & (1n << BigInt(event.read))) !== 0n && !this.#isDone(at),
    );
  }

  #waitsForRead(event: TraceEvent, earlier: TraceEvent, needs: bigint, writes: boolean, isRelease: boolean): boolean {
    if (this.#keepsLoadsInOrder || event.kind === Kind.fence) return this.#fenceWaitsForReads(event);
    if ((earlier.tags & Tag.acquire) !== 0 || earlier.address === event.address) return true;
    return (needs & (1n << BigInt(earlier.read))) !== 0n || (writes && isRelease);
  }

  #fenceWaitsForReads({ kind, fence }: TraceEvent): boolean {
    return kind !== Kind.fence || !this.#isForStores(fence);
  }

  /** A barrier that orders stores alone. */
  #isForStores(fence: number): boolean {
    return fence === Fence.dmbSt || fence === Fence.eieio;
  }

  /** One behind which earlier stores are visible. */
  #isFull(fence: number): boolean {
    return fence === Fence.dmbFull || fence === Fence.mfence || fence === Fence.sync || fence === Fence.dsbSt;
  }

  #waitsForWrite(at: number, event: TraceEvent, before: number, earlier: TraceEvent, writes: boolean): boolean {
    const { isBuffered } = this.progress[before]!;
    if (event.kind === Kind.fence) {
      const stands = event.fence === Fence.lwsync || this.#isForStores(event.fence);
      return stands ? !isBuffered : this.#isFull(event.fence);
    }
    // Stores enter the buffer in order; the half of an atomic is never in it.
    if (event.kind === Kind.write) return !isBuffered;
    if (earlier.address === event.address && !isBuffered) return true;
    if (this.#waitsForStores || earlier.rmw >= 0) return true;
    if ((event.tags & Tag.acquire) !== 0 && (earlier.tags & Tag.release) !== 0) return true;
    return writes && this.#atomicWaits(at, event, earlier, isBuffered);
  }

  /** An atomic writes memory itself: which stores must be visible before? */
  #atomicWaits(at: number, event: TraceEvent, earlier: TraceEvent, isBuffered: boolean): boolean {
    const release = (this.#writeHalf(at)!.tags & Tag.release) !== 0;
    if (this.#keepsLoadsInOrder || release || !isBuffered || earlier.address === event.address) return true;
    return this.#core.hasEarlierEpoch(this.#core.epoch);
  }

  get #keepsLoadsInOrder(): boolean {
    return this.#model === 'sc' || this.#model === 'x86-tso';
  }

  /**
   * The latest time at which something was done that the read must not go behind. Behind a barrier that is only inner it may go,
   * where the line has been invalidated by a core of another inner domain (`isForeign`).
   */
  #floor(at: number, event: TraceEvent, isForeign: boolean): number {
    if (this.#system.propagation !== null) return this.#core.floor;
    let floor = NEVER;
    for (let before = 0; before < at; before++) {
      const earlier = this.#known(before)!;
      const { doneAt } = this.progress[before]!;
      if (doneAt === NEVER) continue;
      const binds =
        earlier.kind === Kind.fence
          ? !this.#isForStores(earlier.fence) && !(isForeign && (earlier.tags & Tag.inner) !== 0)
          : earlier.address === event.address ||
            (earlier.kind === Kind.read
              ? this.#keepsLoadsInOrder || (earlier.tags & Tag.acquire) !== 0 || this.#dependsOn(event, earlier)
              : this.#isBarrier(earlier) || ((event.tags & Tag.acquire) !== 0 && (earlier.tags & Tag.release) !== 0));
      if (binds) floor = Math.max(floor, doneAt);
    }
    return floor;
  }

  /** On an Alpha an address dependency orders nothing by itself. */
  #dependsOn(event: TraceEvent, earlier: TraceEvent): boolean {
    return this.#model !== 'alpha' && (event.addr & (1n << BigInt(earlier.read))) !== 0n;
  }

  /** The write of an atomic that is a full barrier. */
  #isBarrier({ rmw, tags }: TraceEvent): boolean {
    return rmw >= 0 && (this.#keepsLoadsInOrder || (tags & Tag.release) !== 0);
  }

  // Doing it

  #passFence(at: number, { fence }: TraceEvent, time: number): boolean {
    this.#passBarrier(fence, time);
    this.progress[at]!.doneAt = time;
    return true;
  }

  #passBarrier(fence: number, time: number): void {
    const core = this.#core;
    const { propagation } = this.#system;
    if (propagation === null) {
      if (this.#isForStores(fence)) core.epoch++;
    } else if (fence === Fence.lwsync || this.#isForStores(fence)) propagation.lightBarrier(core);
    else if (this.#isFull(fence)) propagation.fullBarrier(core, time);
  }

  #store(at: number, event: TraceEvent, time: number): boolean {
    const core = this.#core;
    const address = this.#words.address(event.address);
    const line = address >> LINE_SHIFT;
    const value = this.#words.value(event.value);
    const id = writeId(this.#number, at);
    if (this.#system.profile.storeBuffer.entries === 0) {
      if (!this.#system.owns(core, line)) {
        this.#system.request(core, address, true, false, time);
        return false;
      }
      this.#system.write(core, address, value, id, time);
      return true;
    }
    this.progress[at]!.isBuffered = true;
    const isRelease = (event.tags & Tag.release) !== 0;
    const base = this.#system.propagation?.baseOf(core) ?? 0;
    this.#system.buffer(core, { address, line, value, isRelease, base, epoch: core.epoch, id }, time);
    return true;
  }

  #read(at: number, event: TraceEvent, time: number): boolean {
    const address = this.#words.address(event.address);
    const line = address >> LINE_SHIFT;
    const core = this.#core;
    const system = this.#system;
    const stored = core.buffered(address);
    if (stored !== undefined) return this.#performed(at, stored.value, stored.id, time);
    if (system.caches.state(core.number, line) !== 0) {
      const isPerformed = this.#performed(at, system.memory[address]!, system.writers![address]!, time);
      if (isPerformed) system.propagation?.read(core, address);
      return isPerformed;
    }
    const queued = core.queuedInvalidation(line, time);
    if (queued !== undefined && queued.arrived > this.#floor(at, event, queued.isForeign)) {
      system.counters.stale++;
      const word = address % LINE_WORDS;
      system.propagation?.readOld(core, queued.arrived);
      return this.#performed(at, queued.words[word]!, queued.writers![word]!, queued.arrived - 1);
    }
    system.request(core, address, false, false, time);
    return false;
  }

  #performed(at: number, value: number, from: number, time: number): boolean {
    const left = this.#possible.filter(({ events }) => this.#words.value(events[at]!.value) === value);
    // A lock that is held: it is tried again.
    if (left.length === 0) return false;
    this.#possible = left;
    Object.assign(this.progress[at]!, { doneAt: time, from });
    return true;
  }

  #modify(at: number, event: TraceEvent, half: TraceEvent, time: number): boolean {
    const address = this.#words.address(event.address);
    const line = address >> LINE_SHIFT;
    const core = this.#core;
    const system = this.#system;
    if (core.hasBufferedLine(line)) return false;
    const exclusives = this.#exclusives;
    if (exclusives === null && !system.owns(core, line)) {
      system.request(core, address, true, true, time);
      return false;
    }
    if (exclusives !== null && !this.#reserves(exclusives, address, time)) return false;
    if (!this.#performed(at, system.memory[address]!, system.writers![address]!, time)) return false;
    system.propagation?.read(core, address);
    const written = this.#possible[0]!.events[at + 1];
    if (written?.kind !== half.kind || written.rmw !== at) return true;
    system.write(core, address, this.#words.value(written.value), writeId(this.#number, at + 1), time);
    return true;
  }

  /** Load-exclusive, and store-exclusive as far as that it may write: nobody has written the line in between. */
  #reserves(exclusives: Exclusives, address: number, time: number): boolean {
    const core = this.#core;
    for (;;) {
      if (core.reserved !== address >> LINE_SHIFT && !exclusives.load(core, address, time)) return false;
      const stored = exclusives.store(core, address, time);
      if (stored !== StoreExclusive.failed) return stored === StoreExclusive.done;
    }
  }
}
