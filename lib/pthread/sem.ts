import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import type { Futexes } from '../futex/table.ts';
import { wait } from '../futex/wait.ts';
import { MATCH_ANY, wake } from '../futex/wake.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { ALONE, ASYNC_ALONE } from '../sched/contention.ts';
import { ASYNC_OPTIONS, type AsyncWaitOptions, block, blockAsync, limitsOf, type WaitOptions } from '../sched/drive.ts';
import { noteTaken, UNOWNED } from '../sched/lock-observer.ts';
import type { GaveUp, SlowPath, Waiter } from '../sched/slow-path.ts';

export const SemWords = struct({
  header: ObjectHeader,
  /** 0 and up: how often it can be decremented; UNSET until the first opener says, and once it was destroyed. */
  value: 1,
});

const UNSET = -1;

export interface PthreadSemOptions {
  /** The value if the semaphore is new, 0 to 2^31 - 1. Default: 0. */
  value?: number | undefined;
}
/** SEM_VALUE_MAX. */
export const SEM_VALUE_MAX = 2 ** 31 - 1;

const KIND = defineKind<Repairer>({
  name: 'pthread sem',
  words: SemWords,
  format: (cpu, sem) => cpu.write(sem + SemWords.value, UNSET),
  holder: () => 0,
  isBusy: () => false,
  close(cpu, sem) {
    for (;;) {
      const value = cpu.load(sem + SemWords.value);
      if (cpu.cmpxchg(sem + SemWords.value, value, UNSET) === value) return true;
    }
  },
  // What was taken stays taken: nobody owns a POSIX semaphore.
  repair: () => true,
});

function tryWait(cpu: Cpu, value: number): boolean {
  let seen = cpu.load(value);
  while (seen > 0) {
    // n -> n - 1. Acquire: pairs with the release in post.
    const old = cpu.cmpxchgAcquire(value, seen, seen - 1);
    if (old === seen) return true;
    seen = old;
  }
  return false;
}

function* waitSlow(futexes: Futexes, value: number, waiter: Waiter): SlowPath<'acquired' | GaveUp> {
  while (!tryWait(futexes.thread.cpu, value)) {
    const result = yield* wait(futexes, value, 0, MATCH_ANY, waiter);
    if (result === 'timed-out' || result === 'aborted') return result;
  }
  return 'acquired';
}

/**
 * sem_t: a count that `wait` takes from and `post` adds to. Nobody owns what was taken: a thread that dies with it
 * does not give it back; `Semaphore` has guards for that.
 *
 *   wait   n > 0 -> n - 1; at 0: FUTEX_WAIT(0)
 *   post   n -> n + 1, FUTEX_WAKE one
 *
 * Fairness: whoever comes first; of those who sleep the one that has waited longest is woken, and may find that
 * another was quicker. Source: sem_wait(3p), sem_post(3p).
 */
export class PthreadSem extends SharedObject {
  readonly #value: number;
  readonly #futexes: Futexes;

  constructor(arena: Arena, which?: string | ObjectHandle, options: PthreadSemOptions = {}) {
    checkOptionNames(options, ['value']);
    const { value = 0 } = options;
    if (!Number.isInteger(value) || value < 0 || value > SEM_VALUE_MAX) {
      throw new HoldfastError(
        'EINVAL',
        `a semaphore starts at a whole number from 0 to ${SEM_VALUE_MAX}; received ${shown(value)}`,
      );
    }
    super(KIND, arena, which);
    this.#value = this.address + SemWords.value;
    this.#futexes = openFutexes(arena);
    arena.cpu.cmpxchg(this.#value, UNSET, value);
  }

  static from(arena: Arena, handle: ObjectHandle): PthreadSem {
    return new PthreadSem(arena, handle);
  }

  /** sem_wait, sem_timedwait. Throws ETIMEDOUT. */
  wait(options?: WaitOptions): void {
    const { cpu, free } = this.thread;
    if (options !== undefined || free !== 0 || !tryWait(cpu, this.#value)) this.#waitSlow(options);
  }

  #waitSlow(options: WaitOptions | undefined): void {
    const { thread } = this;
    thread.current();
    const limits = limitsOf(thread.cpu, options);
    if (this.#tryWait()) return;
    const wanted = thread.observer?.wants(this, ALONE, limits);
    block(thread, limits, (waiter) => waitSlow(this.#futexes, this.#value, waiter), this);
    thread.observer?.has(wanted, UNOWNED);
  }

  /** False for EAGAIN. */
  tryWait(): boolean {
    this.thread.current();
    if (this.#tryWait()) return true;
    this.checkThere();
    return false;
  }

  async waitAsync(options?: AsyncWaitOptions): Promise<void> {
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options, ASYNC_OPTIONS);
    const wanted = thread.observer?.wants(this, ASYNC_ALONE, limits);
    const path = (waiter: Waiter) => waitSlow(this.#futexes, this.#value, waiter);
    const { task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    thread.returnTask(task);
    thread.observer?.has(wanted, UNOWNED);
  }

  /** Throws EOVERFLOW when the value is SEM_VALUE_MAX. */
  post(): void {
    const { cpu, free } = this.thread;
    if (free !== 0) this.thread.current();
    for (let value = cpu.load(this.#value); ; ) {
      if (value === UNSET) this.checkThere();
      if (value === SEM_VALUE_MAX) throw new HoldfastError('EOVERFLOW', `the ${this.label} is at ${value}`);
      // n -> n + 1. Release: pairs with the acquire in tryWait.
      const seen = cpu.cmpxchgRelease(this.#value, value, value + 1);
      if (seen === value) break;
      value = seen;
    }
    wake(this.#futexes, this.#value, 1, MATCH_ANY);
    if (free !== 0) this.thread.observer?.gave(this, UNOWNED);
  }

  /** sem_getvalue; out of date as soon as it is read. */
  get value(): number {
    return this.living.load(this.#value);
  }

  protected override get shown(): string {
    return `PthreadSem(${this.name ?? this.address}, ${this.value})`;
  }

  #tryWait(): boolean {
    const { thread } = this;
    return noteTaken(thread, this, ALONE, tryWait(thread.cpu, this.#value), UNOWNED);
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `nobody posted the ${this.label} within ${timeout} ms`);
  }
}
