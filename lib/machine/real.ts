import { AsyncWaits } from './async-waits.ts';
import { counter } from './counter.ts';
import type { Cpu, WaitOutcome } from './cpu.ts';

// Atomics.pause exists from Node 24 on; before, an empty call is all there is.
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Total store order: loads stay in order, and so do stores. The compiler moves no access past an Atomics call. */
const IS_TSO = process.arch === 'x64' || process.arch === 'ia32';

/**
 * How long a thread sleeps before it calls `onStall`, ms; then twice as long each time, up to the longest. Short, because a
 * `release()` on an event loop may sleep so for a latch whose holder has died; several times what a look costs.
 */
const STALL_MS = 6;
const LONGEST_STALL_MS = 3200;
/** How many loads a spinning thread makes before it does the same: some 20 ms. */
const STALL_SPINS = 1 << 20;

/**
 * The machine that users run: one SharedArrayBuffer, one worker thread per CPU, every ordered operation a
 * sequentially consistent `Atomics` call (ECMAScript has no weaker one). The fences are therefore empty: plain
 * accesses are never used to synchronise, and atomics are totally ordered already.
 */
export class RealCpu implements Cpu {
  readonly words: Int32Array;
  /**
   * Called on a thread that has slept or spun for a while (`isBlocked`), so that it can find out that the thread it waits
   * for has died. Its event loop stands still then. It is called every now and then as well while only tasks of its event
   * loop wait.
   */
  onStall: ((isBlocked: boolean) => void) | undefined = undefined;
  onUnpark: ((task: number) => void) | undefined = undefined;
  /** Called on a thread that sleeps in a synchronous call and is woken although the word has not changed: it is rung. */
  onRing: ((address: number) => void) | undefined = undefined;
  /** The waits of this thread's event loop. */
  readonly asyncWaits: AsyncWaits;

  constructor(words: Int32Array) {
    this.words = words;
    this.asyncWaits = new AsyncWaits(words, () => this.now());
  }

  read(a: number): number {
    return this.words[a] as number;
  }
  write(a: number, v: number): void {
    this.words[a] = v;
  }
  readRacy(a: number): number {
    return this.words[a] as number;
  }

  // Not ordinary loads, though on x64 the instruction is the same and the call of Atomics.load takes 7 ns: of two ordinary loads
  // of a word with neither a store nor a call between them V8 makes one (measured on Node 20 and 22), as ECMAScript allows, and
  // may move them past loads of other words. A re-check would see what the check saw, a sequence's end its beginning.
  load(a: number): number {
    return Atomics.load(this.words, a);
  }
  loadAcquire(a: number): number {
    return Atomics.load(this.words, a);
  }
  store(a: number, v: number): void {
    Atomics.store(this.words, a, v);
  }
  storeRelease(a: number, v: number): void {
    Atomics.store(this.words, a, v);
  }
  // These four are as under total store order: see `WEAK`.
  storeReleaseLight(a: number, v: number): void {
    this.words[a] = v;
  }
  loadUnordered(a: number): number {
    return this.words[a] as number;
  }
  loadDependent(a: number): number {
    return this.words[a] as number;
  }
  loadAfterAtomic(a: number): number {
    return this.words[a] as number;
  }
  storeUnordered(a: number, v: number): void {
    this.words[a] = v;
  }
  cmpxchg(a: number, expected: number, v: number): number {
    return Atomics.compareExchange(this.words, a, expected, v);
  }
  cmpxchgRelaxed(a: number, expected: number, v: number): number {
    return Atomics.compareExchange(this.words, a, expected, v);
  }
  cmpxchgAcquire(a: number, expected: number, v: number): number {
    return Atomics.compareExchange(this.words, a, expected, v);
  }
  cmpxchgRelease(a: number, expected: number, v: number): number {
    return Atomics.compareExchange(this.words, a, expected, v);
  }

  xchg(a: number, v: number): number {
    return Atomics.exchange(this.words, a, v);
  }
  xchgRelaxed(a: number, v: number): number {
    return Atomics.exchange(this.words, a, v);
  }
  xchgAcquire(a: number, v: number): number {
    return Atomics.exchange(this.words, a, v);
  }
  xchgRelease(a: number, v: number): number {
    return Atomics.exchange(this.words, a, v);
  }

  fetchAdd(a: number, v: number): number {
    return Atomics.add(this.words, a, v);
  }
  fetchAddRelaxed(a: number, v: number): number {
    return Atomics.add(this.words, a, v);
  }
  fetchAddAcquire(a: number, v: number): number {
    return Atomics.add(this.words, a, v);
  }
  fetchAddRelease(a: number, v: number): number {
    return Atomics.add(this.words, a, v);
  }

  fetchSub(a: number, v: number): number {
    return Atomics.sub(this.words, a, v);
  }
  fetchSubRelaxed(a: number, v: number): number {
    return Atomics.sub(this.words, a, v);
  }
  fetchSubAcquire(a: number, v: number): number {
    return Atomics.sub(this.words, a, v);
  }
  fetchSubRelease(a: number, v: number): number {
    return Atomics.sub(this.words, a, v);
  }

  fetchAnd(a: number, v: number): number {
    return Atomics.and(this.words, a, v);
  }
  fetchAndRelaxed(a: number, v: number): number {
    return Atomics.and(this.words, a, v);
  }
  fetchAndAcquire(a: number, v: number): number {
    return Atomics.and(this.words, a, v);
  }
  fetchAndRelease(a: number, v: number): number {
    return Atomics.and(this.words, a, v);
  }

  fetchOr(a: number, v: number): number {
    return Atomics.or(this.words, a, v);
  }
  fetchOrRelaxed(a: number, v: number): number {
    return Atomics.or(this.words, a, v);
  }
  fetchOrAcquire(a: number, v: number): number {
    return Atomics.or(this.words, a, v);
  }
  fetchOrRelease(a: number, v: number): number {
    return Atomics.or(this.words, a, v);
  }

  mb(): void {}
  rmb(): void {}
  wmb(): void {}

  condLoad(a: number, until: (value: number, arg: number) => boolean, arg: number, spins: number): number {
    const { words } = this;
    let value = Atomics.load(words, a);
    for (let i = 1; i <= spins && !until(value, arg); i++) {
      pause();
      value = Atomics.load(words, a);
      if (i % STALL_SPINS === 0) this.onStall?.(true);
    }
    return value;
  }
  condLoadAcquire(a: number, until: (value: number, arg: number) => boolean, arg: number, spins: number): number {
    return this.condLoad(a, until, arg, spins);
  }
  relax(): void {
    pause();
  }
  ndelay(ns: number): void {
    // By the clock, which needs no calibration, and is as right in code that is not optimised yet.
    const end = counter() + ns;
    while (counter() < end) pause();
  }

  wait(a: number, expected: number, deadline: number): WaitOutcome {
    for (let stall = STALL_MS; ; stall = Math.min(2 * stall, LONGEST_STALL_MS)) {
      const timeout = this.#timeout(deadline);
      const outcome = Atomics.wait(this.words, a, expected, Math.min(timeout, stall));
      if (outcome === 'ok' && Atomics.load(this.words, a) === expected) this.onRing?.(a);
      if (outcome !== 'timed-out' || timeout <= stall) return outcome;
      this.onStall?.(true);
    }
  }
  waitAsync(a: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    return this.asyncWaits.begin(a, expected, deadline);
  }
  wake(a: number, count: number): number {
    return Atomics.notify(this.words, a, count) + this.asyncWaits.end(a);
  }

  now(): number {
    return counter();
  }

  #timeout(deadline: number): number {
    if (deadline === Number.POSITIVE_INFINITY) return deadline;
    return Math.max((deadline - this.now()) / 1e6, 0);
  }
}

/**
 * What takes the place of these operations where stores and loads may pass each other. Not a branch in each of them: they
 * are on the path of every read, and V8 inlines what is short.
 */
const WEAK: Pick<RealCpu, 'storeReleaseLight' | 'loadUnordered' | 'loadDependent' | 'loadAfterAtomic'> = {
  storeReleaseLight(this: RealCpu, a, v) {
    Atomics.store(this.words, a, v);
  },
  loadUnordered(this: RealCpu, a) {
    return Atomics.load(this.words, a);
  },
  loadDependent(this: RealCpu, a) {
    return Atomics.load(this.words, a);
  },
  loadAfterAtomic(this: RealCpu, a) {
    return Atomics.load(this.words, a);
  },
};
if (!IS_TSO) Object.assign(RealCpu.prototype, WEAK);
