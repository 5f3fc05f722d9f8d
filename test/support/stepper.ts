/**
 * Several threads of one arena on one JavaScript thread, stepped by the test: right before a chosen operation of one
 * thread, another one runs, or the thread dies. It tells the story of a race in ten lines.
 *
 *   const { arenas, before, killBefore, reap } = stepper(3);
 *   before(0, on('xchg', word), () => second.unlock());      // thread 1 unlocks in the middle of
 *   first.lock();                                            // thread 0's lock()
 *   killBefore(1, on('store', next), () => second.unlock()); // thread 1 dies there; true: it got so far
 *   expect(reap(2)).toBe('done');
 *
 * What runs in the middle of a thread's step runs to its end there: threads nest, they do not alternate. A thread that
 * would sleep or spin for ever throws `Hang`, unless an action before that operation ends the wait; and so does one that looks
 * again and again for what never comes.
 *
 * The threads' clock counts their looks at it, a microsecond each, and a wait that ends at its deadline puts it forward to
 * that: what a test says about who has waited for long does not depend on how busy the machine is. Asynchronous waits are real ones, and come back while
 * the thread's main task does not sleep: one that was stopped in a synchronous sleep, or threw `Hang`, has no event loop
 * until somebody unparks it (`unpark` of `lib/sched/task.ts`). One that has died has none any more.
 */
import { Arena, format } from '../../lib/arena/arena.ts';
import { Place } from '../../lib/arena/place.ts';
import { type Reaped, reap } from '../../lib/arena/reaper.ts';
import type { Cpu, WaitOutcome } from '../../lib/machine/cpu.ts';
import { RealCpu } from '../../lib/machine/real.ts';
import { isDead, markDead, Slot, slotAddress } from '../../lib/sched/slot.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';

/** An operation that a thread is about to make: the method of `Cpu`, and its arguments, the address first. */
export interface Step {
  readonly op: keyof Cpu;
  readonly address: number;
  readonly args: readonly unknown[];
}
export type When = (step: Step) => boolean;

/** Thrown into a thread to end it; nothing in `lib/` catches it. */
class Killed extends Error {}

/** A thread would sleep or spin for ever. */
export class Hang extends Error {}

/** How long a thread that ends waits for others to settle, ns: some dozen passes. */
const PATIENCE = 50e3;
/** What a look at the clock takes, ns. */
const LOOK = 1e3;
/** Operations of the threads of one stage after which they are going round in a circle: far more than any test makes. */
const MOST_STEPS = 5e7;

export interface StepperOptions {
  /** Size of the arena. @default 65,536 */
  words?: number;
  /** Loads that a waiter spins. @default 4 */
  spins?: number;
}

/**
 * The operation `op` ('' for any) at `address`, or anywhere if that is left out; the `nth` of them, counted from 1.
 * With 'store' or 'load' only that method is meant, not its ordered forms: name those in full ('storeRelease').
 */
export function on(op: keyof Cpu | '', address?: number, nth = 1): When {
  let seen = 0;
  return (step) => {
    if ((op !== '' && step.op !== op) || (address !== undefined && step.address !== address)) return false;
    return ++seen === nth;
  };
}

/** The `n`th operation, whatever it is, counted from 1: to try an action at each step in turn. */
export function step(n: number): When {
  return on('', undefined, n);
}

/** An arena with `threads` attached threads; `arenas[n]` is the view of thread n. */
export function stepper(threads: number, { words = 1 << 16, spins = 4 }: StepperOptions = {}) {
  const memory = new Int32Array(new SharedArrayBuffer(words * 4));
  const real = new RealCpu(memory);
  format(real, words, threads, 12_345);
  const cpus = new SteppedCpus(real);
  const arenas = Array.from({ length: threads }, (_, number) => {
    real.store(slotAddress(real, number) + Slot.life, number + 1);
    return new Arena(new Place(cpus.of(number), number, { spins }));
  });

  /** Thread `number` takes no further step. */
  const die = (number: number) => markDead(real, slotAddress(real, number) + Slot.life, number + 1);

  return {
    arenas,
    /** Looks at the memory, and is nobody's: no action runs before its operations. */
    real,
    die,
    /** Right before the next operation of thread `number` for which `when` holds, `action` runs; once. */
    before: (number: number, when: When, action: () => void) => cpus.plan(number, when, action),
    /** Takes back what `before` has planned for the thread. True when it had not happened. */
    cancel: (number: number) => cpus.cancel(number),
    /**
     * Runs `body` as thread `number`, which is preempted for good right before the operation: not dead, and not going
     * on. False when `body` came to its end.
     */
    stopBefore: (number: number, when: When, body: () => unknown) => cpus.stop(number, when, body),
    /** Runs `body` as thread `number`, which dies right before the operation. False when `body` came to its end. */
    killBefore(number: number, when: When, body: () => unknown): boolean {
      const stopped = cpus.stop(number, when, body);
      if (stopped) die(number);
      return stopped;
    },
    /** Thread `by` repairs what the dead have left. */
    reap(by: number): Reaped {
      return reap(arenas[by]!, (id) => isDead(real, id));
    },
    /** Thread `number` ends in order: it repairs what it leaves, and gives up its slot. */
    leave(number: number): Reaped {
      const { cpu, thread } = arenas[number]!;
      const isReaped = (id: number) => id === thread.id || isDead(real, id);
      return reap(arenas[number]!, isReaped, { patience: cpu.now() + PATIENCE });
    },
  };
}

/** Puts an action before an operation of one of several threads that share a JavaScript thread. */
class SteppedCpus {
  readonly #real: RealCpu;
  readonly #plans = new Map<number, { when: When; action: () => void }>();
  /** How often each word has been woken: tells a sleeper whether the action before its wait woke it. */
  readonly #wakes = new Map<number, number>();
  /** The threads' clock, ns. */
  #now: number;
  #steps = 0;

  constructor(real: RealCpu) {
    this.#real = real;
    this.#now = real.now();
  }

  plan(number: number, when: When, action: () => void): void {
    if (this.#plans.has(number)) throw new Error(`thread ${number} has a plan already`);
    this.#plans.set(number, { when, action });
  }

  cancel(number: number): boolean {
    return this.#plans.delete(number);
  }

  stop(number: number, when: When, body: () => unknown): boolean {
    this.plan(number, when, () => {
      throw new Killed();
    });
    try {
      body();
    } catch (error) {
      if (error instanceof Killed) return true;
      throw error;
    } finally {
      this.cancel(number);
    }
    return false;
  }

  /** The processor of thread `number`. */
  of(number: number): Cpu {
    const operations: Partial<Cpu> = {
      now: () => {
        this.#now += LOOK;
        return this.#now;
      },
      condLoad: (a, until, arg, spins) => this.#spin(number, a, until, arg, spins),
      condLoadAcquire: (a, until, arg, spins) => this.#spin(number, a, until, arg, spins),
      wait: (a, expected, deadline) => this.#wait(number, a, expected, deadline),
      waitAsync: (a, expected, deadline) => {
        this.#step(number, 'waitAsync', [a, expected, deadline]);
        const outcome = this.#real.waitAsync(a, expected, deadline);
        return typeof outcome === 'string'
          ? this.#ended(outcome, deadline)
          : this.#onEventLoop(number, outcome, deadline);
      },
      wake: (a, count) => {
        this.#step(number, 'wake', [a, count]);
        this.#wakes.set(a, this.#wakesOf(a) + 1);
        return this.#real.wake(a, count);
      },
    };
    return new Proxy<Cpu>(this.#real, {
      get: (real, name: keyof Cpu) => {
        const own = operations[name];
        if (own !== undefined) return own;
        const operation = real[name] as unknown;
        if (typeof operation !== 'function') return operation;
        return (...args: unknown[]) => {
          this.#step(number, name, args);
          return operation.apply(real, args);
        };
      },
      set(real, name, value) {
        // A clock of the test's own, or who hears of wake-ups, for this thread.
        const isOwn = name === 'now' || name === 'onUnpark';
        if (isOwn) operations[name] = value;
        return isOwn || Reflect.set(real, name, value, real);
      },
    });
  }

  #step(number: number, op: keyof Cpu, args: readonly unknown[]): void {
    if (++this.#steps > MOST_STEPS) throw new Hang(`thread ${number} goes on for ever, now at word ${args[0]}`);
    const plan = this.#plans.get(number);
    if (plan === undefined || !plan.when({ op, address: args[0] as number, args })) return;
    this.#plans.delete(number);
    plan.action();
  }

  #spin(number: number, a: number, until: (value: number, arg: number) => boolean, arg: number, spins: number): number {
    this.#step(number, 'condLoad', [a, arg, spins]);
    const value = this.#real.load(a);
    // Nobody else runs from here on: what does not hold now never will.
    if (spins === Number.POSITIVE_INFINITY && !until(value, arg)) {
      throw new Hang(`thread ${number} spins for ever at word ${a}, which is ${value}`);
    }
    return value;
  }

  #wait(number: number, a: number, expected: number, deadline: number): WaitOutcome {
    const wakes = this.#wakesOf(a);
    this.#step(number, 'wait', [a, expected, deadline]);
    if (this.#real.load(a) !== expected) return 'not-equal';
    if (this.#wakesOf(a) !== wakes) return 'ok';
    if (deadline === Number.POSITIVE_INFINITY) {
      throw new Hang(`thread ${number} sleeps for ever at word ${a}, which is ${expected}`);
    }
    return this.#ended('timed-out', deadline);
  }

  #ended(outcome: WaitOutcome, deadline: number): WaitOutcome {
    if (outcome === 'timed-out') this.#now = Math.max(this.#now, deadline);
    return outcome;
  }

  /** What comes to the event loop of a thread that sleeps in a synchronous call comes when that is over. */
  async #onEventLoop(number: number, outcome: Promise<WaitOutcome>, deadline: number): Promise<WaitOutcome> {
    const ended = this.#ended(await outcome, deadline);
    const slot = slotAddress(this.#real, number);
    const state = slot + Slot.mainTask + Task.state;
    const isAlive = () => this.#real.load(slot + Slot.life) === number + 1;
    if (!isAlive()) return new Promise(() => {});
    while (this.#real.load(state) === SLEEPING) await this.#real.waitAsync(state, SLEEPING, Number.POSITIVE_INFINITY);
    return ended;
  }

  #wakesOf(a: number): number {
    return this.#wakes.get(a) ?? 0;
  }
}
