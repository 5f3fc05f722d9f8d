/**
 * `Cpu`, as the code on the machine sees it: each operation that this run of the step has made before gets its recorded
 * result, the next is executed. Before the machine runs, accesses go to memory and take no time.
 */
import type { Cpu, WaitOutcome } from '../../lib/machine/cpu.ts';
import { Code, Order, Outcome } from './codes.ts';
import { type SimThread, SUSPEND } from './thread.ts';

/** The machine, as far as a `Cpu` needs it. */
export interface Engine {
  readonly isLive: boolean;
  readonly memory: Int32Array;
  readonly threads: readonly SimThread[];
  readonly counters: { replays: number };
  execute(thread: SimThread): number;
  work(thread: SimThread, ns: number): void;
}

type Until = (value: number, arg: number) => boolean;

const OUTCOMES: readonly WaitOutcome[] = ['ok', 'not-equal', 'timed-out'];

export class TimedCpu implements Cpu {
  readonly #machine: Engine;
  readonly #memory: Int32Array;
  readonly #number: number;
  #thread: SimThread | undefined;

  constructor(machine: Engine, number: number) {
    this.#machine = machine;
    this.#memory = machine.memory;
    this.#number = number;
  }

  #load(code: number, address: number): number {
    if (!this.#machine.isLive) return this.#memory[address]!;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, address);
    thread.code = code;
    thread.address = address;
    return this.#machine.execute(thread);
  }

  #store(code: number, address: number, value: number): void {
    if (!this.#machine.isLive) {
      this.#memory[address] = value;
      return;
    }
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) {
      thread.recorded(code, address);
      return;
    }
    thread.code = code;
    thread.address = address;
    thread.x = value;
    this.#machine.execute(thread);
  }

  #modify(code: number, order: number, address: number, x: number, y: number): number {
    if (!this.#machine.isLive) return this.#modifyAtOnce(code, address, x, y);
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, address);
    thread.code = code;
    thread.order = order;
    thread.address = address;
    thread.x = x;
    thread.y = y;
    return this.#machine.execute(thread);
  }

  #modifyAtOnce(code: number, address: number, x: number, y: number): number {
    const old = this.#memory[address]!;
    if (code === Code.cmpxchg) this.#memory[address] = old === x ? y : old;
    else if (code === Code.xchg) this.#memory[address] = x;
    else this.#memory[address] = code === Code.add ? old + x : code === Code.and ? old & x : old | x;
    return old;
  }

  #simple(code: number): number {
    if (!this.#machine.isLive) return 0;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, 0);
    thread.code = code;
    thread.address = 0;
    return this.#machine.execute(thread);
  }

  #condLoad(code: number, address: number, until: Until, argument: number, spins: number): number {
    if (!this.#machine.isLive) return this.#memory[address]!;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, address);
    thread.code = code;
    thread.address = address;
    thread.until = until;
    thread.y = argument;
    thread.spins = spins;
    return this.#machine.execute(thread);
  }

  read(a: number): number {
    return this.#load(Code.load, a);
  }
  write(a: number, v: number): void {
    this.#store(Code.store, a, v);
  }
  load(a: number): number {
    return this.#load(Code.load, a);
  }
  loadAcquire(a: number): number {
    return this.#load(Code.loadAcquire, a);
  }
  store(a: number, v: number): void {
    this.#store(Code.store, a, v);
  }
  storeRelease(a: number, v: number): void {
    this.#store(Code.storeRelease, a, v);
  }
  storeReleaseLight(a: number, v: number): void {
    this.#store(Code.storeRelease, a, v);
  }
  storeUnordered(a: number, v: number): void {
    this.#store(Code.store, a, v);
  }
  loadUnordered(a: number): number {
    return this.#load(Code.load, a);
  }
  /** The code's loads are bound in order, so those that depend on this one come after it anyway. */
  loadDependent(a: number): number {
    return this.#load(Code.load, a);
  }

  cmpxchg(a: number, e: number, v: number): number {
    return this.#modify(Code.cmpxchg, Order.full, a, e, v);
  }
  cmpxchgRelaxed(a: number, e: number, v: number): number {
    return this.#modify(Code.cmpxchg, Order.relaxed, a, e, v);
  }
  cmpxchgAcquire(a: number, e: number, v: number): number {
    return this.#modify(Code.cmpxchg, Order.acquire, a, e, v);
  }
  cmpxchgRelease(a: number, e: number, v: number): number {
    return this.#modify(Code.cmpxchg, Order.release, a, e, v);
  }
  xchg(a: number, v: number): number {
    return this.#modify(Code.xchg, Order.full, a, v, 0);
  }
  xchgRelaxed(a: number, v: number): number {
    return this.#modify(Code.xchg, Order.relaxed, a, v, 0);
  }
  xchgAcquire(a: number, v: number): number {
    return this.#modify(Code.xchg, Order.acquire, a, v, 0);
  }
  xchgRelease(a: number, v: number): number {
    return this.#modify(Code.xchg, Order.release, a, v, 0);
  }
  fetchAdd(a: number, v: number): number {
    return this.#modify(Code.add, Order.full, a, v, 0);
  }
  fetchAddRelaxed(a: number, v: number): number {
    return this.#modify(Code.add, Order.relaxed, a, v, 0);
  }
  fetchAddAcquire(a: number, v: number): number {
    return this.#modify(Code.add, Order.acquire, a, v, 0);
  }
  fetchAddRelease(a: number, v: number): number {
    return this.#modify(Code.add, Order.release, a, v, 0);
  }
  fetchSub(a: number, v: number): number {
    return this.#modify(Code.add, Order.full, a, -v, 0);
  }
  fetchSubRelaxed(a: number, v: number): number {
    return this.#modify(Code.add, Order.relaxed, a, -v, 0);
  }
  fetchSubAcquire(a: number, v: number): number {
    return this.#modify(Code.add, Order.acquire, a, -v, 0);
  }
  fetchSubRelease(a: number, v: number): number {
    return this.#modify(Code.add, Order.release, a, -v, 0);
  }
  fetchAnd(a: number, v: number): number {
    return this.#modify(Code.and, Order.full, a, v, 0);
  }
  fetchAndRelaxed(a: number, v: number): number {
    return this.#modify(Code.and, Order.relaxed, a, v, 0);
  }
  fetchAndAcquire(a: number, v: number): number {
    return this.#modify(Code.and, Order.acquire, a, v, 0);
  }
  fetchAndRelease(a: number, v: number): number {
    return this.#modify(Code.and, Order.release, a, v, 0);
  }
  fetchOr(a: number, v: number): number {
    return this.#modify(Code.or, Order.full, a, v, 0);
  }
  fetchOrRelaxed(a: number, v: number): number {
    return this.#modify(Code.or, Order.relaxed, a, v, 0);
  }
  fetchOrAcquire(a: number, v: number): number {
    return this.#modify(Code.or, Order.acquire, a, v, 0);
  }
  fetchOrRelease(a: number, v: number): number {
    return this.#modify(Code.or, Order.release, a, v, 0);
  }

  mb(): void {
    this.#simple(Code.mb);
  }
  rmb(): void {
    this.#simple(Code.rmb);
  }
  wmb(): void {
    this.#simple(Code.wmb);
  }
  relax(): void {
    this.#simple(Code.relax);
  }
  now(): number {
    return this.#simple(Code.now);
  }

  /** An instruction that only some machines have. */
  protected instruction(code: number, address: number, x: number, y: number): void {
    if (!this.#machine.isLive) return;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) {
      thread.recorded(code, address);
      return;
    }
    thread.code = code;
    thread.address = address;
    thread.x = x;
    thread.y = y;
    this.#machine.execute(thread);
  }

  condLoad(a: number, until: Until, arg: number, spins: number): number {
    return this.#condLoad(Code.condLoad, a, until, arg, spins);
  }
  condLoadAcquire(a: number, until: Until, arg: number, spins: number): number {
    return this.#condLoad(Code.condLoadAcquire, a, until, arg, spins);
  }

  wait(a: number, expected: number, deadline: number): WaitOutcome {
    if (!this.#machine.isLive) return this.#memory[a] === expected ? 'timed-out' : 'not-equal';
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return OUTCOMES[thread.recorded(Code.wait, a)]!;
    thread.code = Code.wait;
    thread.address = a;
    thread.x = expected;
    thread.deadline = deadline;
    return OUTCOMES[this.#machine.execute(thread)] ?? OUTCOMES[Outcome.ok]!;
  }
  /** As `wait`: a simulated thread has no event loop to go back to. */
  waitAsync(a: number, expected: number, deadline: number): WaitOutcome {
    return this.wait(a, expected, deadline);
  }
  wake(a: number, count: number): number {
    if (!this.#machine.isLive) return 0;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(Code.wake, a);
    thread.code = Code.wake;
    thread.address = a;
    thread.x = count;
    return this.#machine.execute(thread);
  }

  /**
   * A step of a thread that is a generator (`Machine.spawnBody`): `yield* cpu.step(() => lock.lock())`. When it has to wait,
   * the generator yields, and this step alone is run again: one operation a step, and nothing ever is.
   */
  *step<T>(action: () => T): Generator<void, T> {
    for (;;) {
      const thread = this.#machine.threads[this.#number]!;
      thread.cursor = 0;
      try {
        const result = action();
        thread.length = 0;
        return result;
      } catch (thrown) {
        if (thrown !== SUSPEND) throw thrown;
        this.#machine.counters.replays++;
      }
      yield;
    }
  }

  ndelay(ns: number): void {
    if (!this.#machine.isLive) return;
    this.#machine.work((this.#thread ??= this.#machine.threads[this.#number]!), ns);
  }
}
