import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, refusePromise, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import type { Futexes } from '../futex/table.ts';
import { wait } from '../futex/wait.ts';
import { MATCH_ANY, wake } from '../futex/wake.ts';
import { defineKind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import type { GaveUp, SlowPath, Waiter } from '../sched/slow-path.ts';
import { Task } from '../sched/task.ts';

const OnceWords = struct({
  header: ObjectHeader,
  /** 0, the task that runs the routine, DONE or CLOSED. */
  state: 1,
});

/** No task's address. */
const DONE = 1;
/** The once was destroyed. */
const CLOSED = 2;

const KIND = defineKind<Repairer>({
  name: 'pthread once',
  words: OnceWords,
  format: () => {},
  holder(cpu, once) {
    // Acquire: pairs with the barrier in `TaskStore`.
    const runner = cpu.loadAcquire(once + OnceWords.state);
    return runner <= CLOSED ? 0 : cpu.load(runner + Task.thread);
  },
  isBusy(cpu, once) {
    const state = cpu.load(once + OnceWords.state);
    return state !== 0 && state !== DONE && state !== CLOSED;
  },
  close(cpu, once) {
    const state = cpu.load(once + OnceWords.state);
    return (
      state === CLOSED ||
      ((state === 0 || state === DONE) && cpu.cmpxchg(once + OnceWords.state, state, CLOSED) === state)
    );
  },
  // Those who wait find the state changed, and one of them runs the routine.
  repair({ cpu, isDead }, once) {
    const runner = cpu.loadAcquire(once + OnceWords.state);
    if (runner > CLOSED && isDead(cpu.load(runner + Task.thread))) {
      cpu.cmpxchg(once + OnceWords.state, runner, 0);
    }
    return true;
  },
});

type Outcome = 'mine' | 'done' | 'deadlock' | GaveUp;

/** 'mine': the caller is to run the routine. */
function* begin(futexes: Futexes, state: number, waiter: Waiter): SlowPath<Outcome> {
  const { cpu, id } = futexes.thread;
  for (;;) {
    // Pairs with the release in #end; a compare-and-exchange that fails would order nothing.
    const runner = cpu.loadAcquire(state);
    if (runner === DONE) return 'done';
    if (runner === 0) {
      if (cpu.cmpxchgAcquire(state, 0, waiter.task) === 0) return 'mine';
      continue;
    }
    if (!waiter.async && cpu.load(runner + Task.thread) === id) return 'deadlock';
    const result = yield* wait(futexes, state, runner, MATCH_ANY, waiter);
    if (result === 'timed-out' || result === 'aborted') return result;
  }
}

/**
 * pthread_once_t: runs a routine once, whichever thread comes first; the others wait until it is done. What the routine
 * wrote is seen by all of them. If it throws, or its thread dies inside, it counts as not run, and the next runs it
 * (as with a cancelled thread in pthread_once(3p)).
 */
export class PthreadOnce extends SharedObject {
  readonly #state: number;
  readonly #futexes: Futexes;

  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#state = this.address + OnceWords.state;
    this.#futexes = openFutexes(arena);
  }

  static from(arena: Arena, handle: ObjectHandle): PthreadOnce {
    return new PthreadOnce(arena, handle);
  }

  get isDone(): boolean {
    // Pairs with the release in `#end`: what the routine did is seen.
    const isDone = this.thread.cpu.loadAcquire(this.#state) === DONE;
    if (!isDone) this.checkThere();
    return isDone;
  }

  /** True when this call ran the routine. Throws what it throws, ETIMEDOUT, EDEADLK from inside the
   * routine, and EINVAL for one that returns a promise: it counts as not run. */
  call(routine: () => void, options?: WaitOptions): boolean {
    if (typeof routine !== 'function') throw notRoutine(routine);
    const limits = limitsOf(this.thread.cpu, options);
    if (this.isDone) return false;
    const outcome = block(this.thread, limits, (waiter) => begin(this.#futexes, this.#state, waiter), this);
    if (!this.#isMine(outcome)) return false;
    let state = 0;
    try {
      refusePromise('the routine of call(), unlike that of callAsync(),', routine());
      state = DONE;
    } finally {
      this.#end(state);
    }
    return true;
  }

  /** `call` with a routine that may be asynchronous. */
  async callAsync(routine: () => void | Promise<void>, options?: AbortableOptions): Promise<boolean> {
    if (typeof routine !== 'function') throw notRoutine(routine);
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options, ABORTABLE_OPTIONS);
    if (this.isDone) return false;
    const path = (waiter: Waiter) => begin(this.#futexes, this.#state, waiter);
    const { outcome, task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    if (outcome !== 'mine') thread.returnTask(task);
    if (!this.#isMine(outcome)) return false;
    let state = 0;
    try {
      await routine();
      state = DONE;
    } finally {
      this.#end(state);
      thread.returnTask(task);
    }
    return true;
  }

  protected override get shown(): string {
    return `PthreadOnce(${this.name ?? this.address}, ${this.isDone ? 'done' : 'not done'})`;
  }

  #end(state: number): void {
    // Pairs with the acquire in isDone.
    this.thread.cpu.storeRelease(this.#state, state);
    wake(this.#futexes, this.#state, Number.POSITIVE_INFINITY, MATCH_ANY);
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `the ${this.label} was not done within ${timeout} ms`);
  }

  #isMine(outcome: Exclude<Outcome, GaveUp>): boolean {
    if (outcome === 'deadlock') throw new HoldfastError('EDEADLK', `this thread runs the ${this.label} itself`);
    return outcome === 'mine';
  }
}

function notRoutine(received: unknown): HoldfastError {
  return new HoldfastError('EINVAL', `once takes a function, received ${shown(received)}`);
}
