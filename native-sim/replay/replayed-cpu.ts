/**
 * `Cpu`, as code on a replayed machine sees it: each method hands its operation, by number, to whatever executes it. One
 * object throughout, so that what `setup` builds may keep it while the executor changes.
 */
import type { Cpu, WaitOutcome } from '../../lib/machine/cpu.ts';
import { Op } from './operations.ts';

export type Until = (value: number, arg: number) => boolean;

/** How an access is made, beyond what its operation says. */
export const Access = {
  marked: 0,
  /** Ordinary data: conflicting accesses that nothing orders are a data race. */
  plain: 1,
  /** An ordinary access where a processor keeps its order anyway: atomic, but not to the JavaScript model. */
  ordinary: 2,
} as const;

export interface Executor {
  read(op: number, address: number, access: number): number;
  write(op: number, address: number, value: number, access: number): void;
  rmw(op: number, address: number, operand: number): number;
  cmpxchg(op: number, address: number, expected: number, value: number): number;
  fence(op: number): void;
  condLoad(op: number, address: number, until: Until, arg: number, spins: number): number;
  wait(address: number, expected: number, deadline: number): WaitOutcome;
  wake(address: number, count: number): number;
  now(): number;
  relax(): void;
  ndelay(ns: number): void;
}

export class ReplayedCpu<E extends Executor = Executor> implements Cpu {
  executor: E;

  constructor(executor: E) {
    this.executor = executor;
  }

  read(a: number): number {
    return this.executor.read(Op.read, a, Access.plain);
  }
  write(a: number, v: number): void {
    this.executor.write(Op.write, a, v, Access.plain);
  }
  readRacy(a: number): number {
    return this.executor.read(Op.load, a, Access.ordinary);
  }
  load(a: number): number {
    return this.executor.read(Op.load, a, Access.marked);
  }
  loadAcquire(a: number): number {
    return this.executor.read(Op.loadAcquire, a, Access.marked);
  }
  store(a: number, v: number): void {
    this.executor.write(Op.store, a, v, Access.marked);
  }
  storeRelease(a: number, v: number): void {
    this.executor.write(Op.storeRelease, a, v, Access.marked);
  }
  storeReleaseLight(a: number, v: number): void {
    this.executor.write(Op.storeRelease, a, v, Access.ordinary);
  }
  loadUnordered(a: number): number {
    return this.executor.read(Op.load, a, Access.ordinary);
  }
  loadDependent(a: number): number {
    return this.executor.read(Op.loadAcquire, a, Access.ordinary);
  }
  loadAfterAtomic(a: number): number {
    return this.executor.read(Op.loadAcquire, a, Access.ordinary);
  }
  storeUnordered(a: number, v: number): void {
    this.executor.write(Op.store, a, v, Access.ordinary);
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
    return this.executor.condLoad(Op.condLoad, a, until, arg, spins);
  }
  condLoadAcquire(a: number, until: Until, arg: number, spins: number): number {
    return this.executor.condLoad(Op.condLoadAcquire, a, until, arg, spins);
  }
  relax(): void {
    this.executor.relax();
  }
  ndelay(ns: number): void {
    this.executor.ndelay(ns);
  }

  wait(a: number, expected: number, deadline: number): WaitOutcome {
    return this.executor.wait(a, expected, deadline);
  }
  /** As `wait`: a replayed thread has no event loop to go back to. */
  waitAsync(a: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    return this.executor.wait(a, expected, deadline);
  }
  wake(a: number, count: number): number {
    return this.executor.wake(a, count);
  }
  now(): number {
    return this.executor.now();
  }
}
