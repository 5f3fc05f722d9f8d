import { counter } from './counter.ts';
import type { Cpu, WaitOutcome } from './cpu.ts';
import { Deadlines } from './deadlines.ts';

// Atomics.pause exists from Node 24 on; before, an empty call is all there is.
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Total store order: loads stay in order, and so do stores. The compiler moves no access past an Atomics call. */
const IS_TSO = process.arch === 'x64' || process.arch === 'ia32';

/** How long a thread sleeps before it calls `onStall`, ms; then twice as long each time, up to the longest. */
const STALL_MS = 100;
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
  /** Called on a thread that sleeps in a synchronous call and is woken although its word has not changed: it is rung. */
  onRing: (() => void) | undefined = undefined;
  /** Of this thread's asynchronous sleeps. */
  readonly deadlines = new Deadlines(() => this.now());
  /** The waits of this thread's event loop, by their words: what ends each when the thread itself wakes it. */
  readonly #waits = new Map<number, (outcome: WaitOutcome) => void>();

  constructor(words: Int32Array) {
    this.words = words;
  }

  read(a: number): number {
    return this.words[a] as number;
  }
  write(a: number, v: number): void {
    this.words[a] = v;
  }

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
  storeReleaseLight(a: number, v: number): void {
    if (IS_TSO) this.words[a] = v;
    else Atomics.store(this.words, a, v);
  }
  loadUnordered(a: number): number {
    return IS_TSO ? (this.words[a] as number) : Atomics.load(this.words, a);
  }
  loadDependent(a: number): number {
    return IS_TSO ? (this.words[a] as number) : Atomics.load(this.words, a);
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

  wait(a: number, expected: number, deadline: number): WaitOutcome {
    for (let stall = STALL_MS; ; stall = Math.min(2 * stall, LONGEST_STALL_MS)) {
      const timeout = this.#timeout(deadline);
      const outcome = Atomics.wait(this.words, a, expected, Math.min(timeout, stall));
      if (outcome === 'ok' && Atomics.load(this.words, a) === expected) this.onRing?.();
      if (outcome !== 'timed-out' || timeout <= stall) return outcome;
      this.onStall?.(true);
    }
  }
  waitAsync(a: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    // A deadline that has passed is the host's to answer: it compares the word first, and makes no timer.
    if (deadline <= this.now()) return Atomics.waitAsync(this.words, a, expected, 0).value;
    const { value } = Atomics.waitAsync(this.words, a, expected);
    if (typeof value === 'string') return value;
    const sleep = this.#endable(value, a);
    return deadline === Number.POSITIVE_INFINITY ? sleep : this.#until(sleep, a, deadline);
  }
  wake(a: number, count: number): number {
    const woken = Atomics.notify(this.words, a, count);
    if (this.#waits.size > 0) this.#endOwn(a);
    return woken;
  }

  /** `sleep` at `a`, which `#endOwn` can end as well. */
  #endable(sleep: Promise<WaitOutcome>, a: number): Promise<WaitOutcome> {
    return new Promise((end) => {
      this.#waits.set(a, end);
      void sleep.then((outcome) => {
        if (this.#waits.get(a) === end) this.#waits.delete(a);
        end(outcome);
      });
    });
  }

  /**
   * Ends a wait of this thread's event loop as a promise ends others, in this turn. The engine would end it in a later
   * one, which never comes while a loop of asynchronous acquisitions finds its lock free each time.
   */
  #endOwn(a: number): void {
    const end = this.#waits.get(a);
    if (end === undefined) return;
    this.#waits.delete(a);
    end('ok');
  }

  now(): number {
    return counter();
  }

  /** The outcome of a sleep at `a`, which ends at the deadline if nobody wakes it before. */
  async #until(sleep: Promise<WaitOutcome>, a: number, deadline: number): Promise<WaitOutcome> {
    let isMissed = false;
    const entry = this.deadlines.add(deadline, () => {
      isMissed = true;
      // All of them: which of several sleepers at the word the host wakes first is not known. The others look again.
      this.wake(a, Number.POSITIVE_INFINITY);
    });
    const outcome = await sleep;
    this.deadlines.remove(entry);
    return isMissed ? 'timed-out' : outcome;
  }

  #timeout(deadline: number): number {
    if (deadline === Number.POSITIVE_INFINITY) return deadline;
    return Math.max((deadline - this.now()) / 1e6, 0);
  }
}
