/**
 * `Cpu`, as the code on the machine sees it: each operation that this run of the step has made before gets its recorded
 * result, the next is executed. Before the machine runs, accesses go to memory and take no time.
 */
import type { WaitOutcome } from '../../lib/machine/cpu.ts';
import { changed, Op, strengthOf } from '../replay/operations.ts';
import { UNWIND } from '../replay/replay.ts';
import { type Executor, ReplayedCpu, type Until } from '../replay/replayed-cpu.ts';
import { Code, Outcome } from './codes.ts';
import type { SimThread } from './thread.ts';

/** The machine, as far as a `Cpu` needs it. */
export interface Engine {
  readonly isLive: boolean;
  readonly memory: Int32Array;
  readonly threads: readonly SimThread[];
  readonly counters: { replays: number };
  execute(thread: SimThread): number;
  clock(thread: SimThread): number;
  work(thread: SimThread, ns: number): void;
}

const OUTCOMES: readonly WaitOutcome[] = ['ok', 'not-equal', 'timed-out'];

/** One thread of the machine as an executor. */
class TimedThread implements Executor {
  readonly #machine: Engine;
  readonly #memory: Int32Array;
  readonly #number: number;
  #thread: SimThread | undefined;

  constructor(machine: Engine, number: number) {
    this.#machine = machine;
    this.#memory = machine.memory;
    this.#number = number;
  }

  read(op: number, address: number): number {
    if (!this.#machine.isLive) return this.#memory[address]!;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(op, address);
    thread.code = op;
    thread.address = address;
    return this.#machine.execute(thread);
  }

  write(op: number, address: number, value: number): void {
    if (!this.#machine.isLive) {
      this.#memory[address] = value;
      return;
    }
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) {
      thread.recorded(op, address);
      return;
    }
    thread.code = op;
    thread.address = address;
    thread.x = value;
    this.#machine.execute(thread);
  }

  rmw(op: number, address: number, operand: number): number {
    if (!this.#machine.isLive) {
      const old = this.#memory[address]!;
      this.#memory[address] = changed(op, old, operand);
      return old;
    }
    const isSub = op >= Op.fetchSubRelaxed && op <= Op.fetchSub;
    const code = isSub ? Code.add : op - strengthOf(op);
    return this.#modify(code, strengthOf(op), address, isSub ? -operand : operand, 0);
  }

  cmpxchg(op: number, address: number, expected: number, value: number): number {
    if (!this.#machine.isLive) {
      const old = this.#memory[address]!;
      if (old === expected) this.#memory[address] = value;
      return old;
    }
    return this.#modify(Code.cmpxchg, strengthOf(op), address, expected, value);
  }

  #modify(code: number, order: number, address: number, x: number, y: number): number {
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, address);
    thread.code = code;
    thread.order = order;
    thread.address = address;
    thread.x = x;
    thread.y = y;
    return this.#machine.execute(thread);
  }

  fence(op: number): void {
    this.#simple(op);
  }

  relax(): void {
    this.#simple(Code.relax);
  }

  now(): number {
    if (!this.#machine.isLive) return 0;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    return thread.cursor < thread.length ? thread.recorded(Code.now, 0) : this.#machine.clock(thread);
  }

  /** An instruction that only some machines have. */
  instruction(code: number, address: number, x: number, y: number): void {
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

  #simple(code: number): number {
    if (!this.#machine.isLive) return 0;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(code, 0);
    thread.code = code;
    thread.address = 0;
    return this.#machine.execute(thread);
  }

  condLoad(op: number, address: number, until: Until, argument: number, spins: number): number {
    if (!this.#machine.isLive) return this.#memory[address]!;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(op, address);
    thread.code = op;
    thread.address = address;
    thread.until = until;
    thread.y = argument;
    thread.spins = spins;
    return this.#machine.execute(thread);
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

  wake(a: number, count: number): number {
    if (!this.#machine.isLive) return 0;
    const thread = (this.#thread ??= this.#machine.threads[this.#number]!);
    if (thread.cursor < thread.length) return thread.recorded(Code.wake, a);
    thread.code = Code.wake;
    thread.address = a;
    thread.x = count;
    return this.#machine.execute(thread);
  }

  /** `TimedCpu.step`. */
  *step<T>(action: () => T): Generator<void, T> {
    for (;;) {
      const thread = this.#machine.threads[this.#number]!;
      thread.cursor = 0;
      try {
        const result = action();
        thread.length = 0;
        return result;
      } catch (thrown) {
        if (thrown !== UNWIND) throw thrown;
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

export class TimedCpu extends ReplayedCpu<TimedThread> {
  constructor(machine: Engine, number: number) {
    super(new TimedThread(machine, number));
  }

  /**
   * A step of a thread that is a generator (`Machine.spawnBody`): `yield* cpu.step(() => lock.lock())`. When it has to wait,
   * the generator yields, and this step alone is run again: one operation a step, and nothing ever is.
   */
  step<T>(action: () => T): Generator<void, T> {
    return this.executor.step(action);
  }

  // To the machine's caches ordinary data is like any other.
  override read(a: number): number {
    return this.load(a);
  }
  override write(a: number, v: number): void {
    this.store(a, v);
  }
  /** The code's loads are bound in order, so those that depend on this one come after it anyway. */
  override loadDependent(a: number): number {
    return this.load(a);
  }
}
