/**
 * `Cpu`, as the code under test sees it: each method hands its operation, by number, to whoever executes it: flat memory
 * during `setup`, a search while threads run. One object throughout, so that what `setup` builds may keep it.
 */
import type { Cpu, WaitOutcome } from '../../lib/machine/cpu.ts';
import { ACQUIRE, Op, ORDINARY, PLAIN, RELEASE } from './events.ts';
import type { Until } from './graph.ts';

export interface Executor {
  read(op: number, address: number, flags: number): number;
  write(op: number, address: number, value: number, flags: number): void;
  rmw(op: number, address: number, operand: number): number;
  cmpxchg(op: number, address: number, expected: number, value: number): number;
  fence(op: number): void;
  condLoad(op: number, address: number, until: Until, arg: number, spins: number, flags: number): number;
  wait(address: number, expected: number, deadline: number): WaitOutcome;
  wake(address: number, count: number): number;
  now(): number;
  relax(): void;
  poison(op: number, address: number, words: number): void;
}

export class ExploredCpu implements Cpu {
  executor: Executor;

  constructor(executor: Executor) {
    this.executor = executor;
  }

  /** Memory that has been handed out and not initialised: reading it before it is written is reported. */
  allocate(address: number, words: number): void {
    this.executor.poison(Op.allocate, address, words);
  }
  /** Memory that was given back: whoever reads it, or races with this, is reported. */
  free(address: number, words: number): void {
    this.executor.poison(Op.free, address, words);
  }

  read(a: number): number {
    return this.executor.read(Op.read, a, PLAIN);
  }
  write(a: number, v: number): void {
    this.executor.write(Op.write, a, v, PLAIN);
  }
  load(a: number): number {
    return this.executor.read(Op.load, a, 0);
  }
  loadAcquire(a: number): number {
    return this.executor.read(Op.loadAcquire, a, ACQUIRE);
  }
  store(a: number, v: number): void {
    this.executor.write(Op.store, a, v, 0);
  }
  storeRelease(a: number, v: number): void {
    this.executor.write(Op.storeRelease, a, v, RELEASE);
  }
  storeReleaseLight(a: number, v: number): void {
    this.executor.write(Op.storeRelease, a, v, RELEASE | ORDINARY);
  }
  loadUnordered(a: number): number {
    return this.executor.read(Op.load, a, ORDINARY);
  }
  loadDependent(a: number): number {
    return this.executor.read(Op.loadAcquire, a, ACQUIRE | ORDINARY);
  }
  storeUnordered(a: number, v: number): void {
    this.executor.write(Op.store, a, v, ORDINARY);
  }

  cmpxchg(a: number, expected: number, v: number): number {
    return this.executor.cmpxchg(Op.cmpxchg, a, expected, v);
  }
  cmpxchgRelaxed(a: number, expected: number, v: number): number {
    return this.executor.cmpxchg(Op.cmpxchgRelaxed, a, expected, v);
  }
  cmpxchgAcquire(a: number, expected: number, v: number): number {
    return this.executor.cmpxchg(Op.cmpxchgAcquire, a, expected, v);
  }
  cmpxchgRelease(a: number, expected: number, v: number): number {
    return this.executor.cmpxchg(Op.cmpxchgRelease, a, expected, v);
  }
  xchg(a: number, v: number): number {
    return this.executor.rmw(Op.xchg, a, v);
  }
  xchgRelaxed(a: number, v: number): number {
    return this.executor.rmw(Op.xchgRelaxed, a, v);
  }
  xchgAcquire(a: number, v: number): number {
    return this.executor.rmw(Op.xchgAcquire, a, v);
  }
  xchgRelease(a: number, v: number): number {
    return this.executor.rmw(Op.xchgRelease, a, v);
  }
  fetchAdd(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAdd, a, v);
  }
  fetchAddRelaxed(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAddRelaxed, a, v);
  }
  fetchAddAcquire(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAddAcquire, a, v);
  }
  fetchAddRelease(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAddRelease, a, v);
  }
  fetchSub(a: number, v: number): number {
    return this.executor.rmw(Op.fetchSub, a, v);
  }
  fetchSubRelaxed(a: number, v: number): number {
    return this.executor.rmw(Op.fetchSubRelaxed, a, v);
  }
  fetchSubAcquire(a: number, v: number): number {
    return this.executor.rmw(Op.fetchSubAcquire, a, v);
  }
  fetchSubRelease(a: number, v: number): number {
    return this.executor.rmw(Op.fetchSubRelease, a, v);
  }
  fetchAnd(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAnd, a, v);
  }
  fetchAndRelaxed(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAndRelaxed, a, v);
  }
  fetchAndAcquire(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAndAcquire, a, v);
  }
  fetchAndRelease(a: number, v: number): number {
    return this.executor.rmw(Op.fetchAndRelease, a, v);
  }
  fetchOr(a: number, v: number): number {
    return this.executor.rmw(Op.fetchOr, a, v);
  }
  fetchOrRelaxed(a: number, v: number): number {
    return this.executor.rmw(Op.fetchOrRelaxed, a, v);
  }
  fetchOrAcquire(a: number, v: number): number {
    return this.executor.rmw(Op.fetchOrAcquire, a, v);
  }
  fetchOrRelease(a: number, v: number): number {
    return this.executor.rmw(Op.fetchOrRelease, a, v);
  }

  mb(): void {
    this.executor.fence(Op.mb);
  }
  rmb(): void {
    this.executor.fence(Op.rmb);
  }
  wmb(): void {
    this.executor.fence(Op.wmb);
  }

  condLoad(a: number, until: Until, arg: number, spins: number): number {
    return this.executor.condLoad(Op.condLoad, a, until, arg, spins, 0);
  }
  condLoadAcquire(a: number, until: Until, arg: number, spins: number): number {
    return this.executor.condLoad(Op.condLoadAcquire, a, until, arg, spins, ACQUIRE);
  }
  relax(): void {
    this.executor.relax();
  }
  /** Every other thread may run here anyway. */
  ndelay(): void {}

  wait(a: number, expected: number, deadline: number): WaitOutcome {
    return this.executor.wait(a, expected, deadline);
  }
  /** As `wait`: an explored thread has nothing else to do. */
  waitAsync(a: number, expected: number, deadline: number): WaitOutcome {
    return this.executor.wait(a, expected, deadline);
  }
  wake(a: number, count: number): number {
    return this.executor.wake(a, count);
  }
  now(): number {
    return this.executor.now();
  }
}
