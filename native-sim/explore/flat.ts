/** Flat memory with one thread: what `setup` runs on. */
import type { WaitOutcome } from '../../lib/machine/cpu.ts';
import { changed, Op } from '../replay/operations.ts';
import type { Until } from '../replay/replayed-cpu.ts';
import type { Executor } from './explored-cpu.ts';
import type { Memory } from './memory.ts';
import { ExploreError } from './program.ts';

export class FlatMemory implements Executor {
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  #check(address: number): number {
    if (this.#memory.inRange(address)) return address;
    throw new ExploreError(`setup: address ${address}; there are ${this.#memory.words} words`);
  }

  read(_op: number, address: number): number {
    return this.#memory.initial[this.#check(address)]!;
  }

  write(_op: number, address: number, value: number): void {
    this.#memory.initial[this.#check(address)] = value;
    this.#memory.poison[address] = 0;
  }

  rmw(op: number, address: number, operand: number): number {
    const old = this.read(op, address);
    this.write(op, address, changed(op, old, operand));
    return old;
  }

  cmpxchg(op: number, address: number, expected: number, value: number): number {
    const old = this.read(op, address);
    if (old === (expected | 0)) this.write(op, address, value);
    return old;
  }

  fence(): void {}
  relax(): void {}
  ndelay(): void {}

  condLoad(op: number, address: number, until: Until, arg: number, spins: number): number {
    const value = this.read(op, address);
    if (spins === Number.POSITIVE_INFINITY && !until(value, arg)) {
      throw new ExploreError(`setup waits for [${address}], which nobody can change`);
    }
    return value;
  }

  wait(address: number, expected: number, deadline: number): WaitOutcome {
    if (this.read(Op.wait, address) !== (expected | 0)) return 'not-equal';
    if (deadline !== Number.POSITIVE_INFINITY) return 'timed-out';
    throw new ExploreError(`setup sleeps on [${address}], and nobody can wake it`);
  }

  waitAsync(address: number, expected: number, deadline: number): WaitOutcome {
    return this.wait(address, expected, deadline);
  }

  wake(): number {
    return 0;
  }
  now(): number {
    return 0;
  }

  poison(op: number, address: number, words: number): void {
    for (let a = address; a < address + words; a++) {
      this.#memory.poison[this.#check(a)] = op === Op.allocate ? 1 : 2;
    }
  }
}
