import { HoldfastError } from '../../../errors.ts';
import { Futex } from '../../../futex/futex.ts';
import { PiFutex } from '../../../futex/pi-futex.ts';
import {
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  ROBUST_PI,
  RobustListHead,
} from '../../../futex/robust-list.ts';
import type { Arena } from '../../../sched/arena.ts';
import { maxThreads } from '../../../sched/thread.ts';
import type { LockType, View } from '../lock-type.ts';

/** The list entry of the lock, and its futex word; then a robust list's head for each thread. */
const ENTRY = 0;
const WORD = 1;
const HEADS = 16;
const HEAD_WORDS = 16;

export const futexMutex: LockType = {
  name: 'futex-mutex',
  summary: 'a mutex of one word over the raw futex, held by the robust list protocol',
  isBusted: false,
  modes: ['write'],
  isRobust: true,
  isAsync: false,
  hasTry: true,
  hasTimeouts: true,
  longHold: 5000,
  create(arena) {
    const words = HEADS + maxThreads(arena.cpu) * HEAD_WORDS;
    const block = arena.alloc(words);
    for (let i = 0; i < words; i++) arena.cpu.write(block + i, 0);
    return block;
  },
  open: (arena, handle) => new FutexMutex(arena, handle as number),
};

export const piFutex: LockType = {
  ...futexMutex,
  name: 'pi-futex',
  summary: 'a mutex of one word over LOCK_PI and UNLOCK_PI, held by the robust list protocol',
  open: (arena, handle) => new PiFutexMutex(arena, handle as number),
};

/** What a program would write with futex(2) and set_robust_list(2). */
export class FutexMutex implements View {
  readonly #arena: Arena;
  readonly #futex: Futex;
  readonly #block: number;
  /** The block as a link of the robust list. */
  readonly #entry: number;
  readonly #word: number;
  readonly #head: number;

  constructor(arena: Arena, block: number, flag = 0) {
    const { cpu } = arena;
    this.#arena = arena;
    this.#futex = new Futex(arena);
    this.#block = block;
    this.#entry = block | flag;
    this.#word = block + WORD;
    this.#head = block + HEADS + arena.thread.number * HEAD_WORDS;
    cpu.store(this.#head + RobustListHead.next, this.#head);
    cpu.store(this.#head + RobustListHead.offset, WORD - ENTRY);
    cpu.store(this.#head + RobustListHead.pending, 0);
    this.#futex.setRobustList(this.#head);
  }

  lock(_mode: string, timeout: number | undefined): boolean {
    const { cpu } = this.#arena;
    cpu.store(this.#head + RobustListHead.pending, this.#entry);
    try {
      this.wait(timeout);
    } catch (error) {
      cpu.store(this.#head + RobustListHead.pending, 0);
      throw error;
    }
    this.#link();
    return true;
  }

  tryLock(): boolean {
    const { cpu } = this.#arena;
    cpu.store(this.#head + RobustListHead.pending, this.#entry);
    const isTaken = this.take(0);
    if (isTaken) this.#link();
    else cpu.store(this.#head + RobustListHead.pending, 0);
    return isTaken;
  }

  unlock(): void {
    const { cpu } = this.#arena;
    cpu.store(this.#head + RobustListHead.pending, this.#entry);
    cpu.store(this.#head + RobustListHead.next, cpu.load(this.#block + ENTRY));
    this.release();
    cpu.store(this.#head + RobustListHead.pending, 0);
  }

  get isTaken(): boolean {
    return (this.#arena.cpu.load(this.#word) & FUTEX_TID_MASK) !== 0;
  }

  get ownerDied(): boolean {
    return (this.#arena.cpu.load(this.#word) & FUTEX_OWNER_DIED) !== 0;
  }

  makeConsistent(): void {
    this.#arena.cpu.fetchAnd(this.#word, ~FUTEX_OWNER_DIED);
  }

  destroy(): void {
    this.#futex.setRobustList(0);
    this.#arena.free(this.#block);
  }

  /** Takes the word, or throws ETIMEDOUT. */
  protected wait(timeout: number | undefined): void {
    const { cpu } = this.#arena;
    const deadline = cpu.now() + (timeout ?? 0) * 1e6;
    for (let mark = 0; !this.take(mark); mark = FUTEX_WAITERS) {
      const word = cpu.load(this.#word);
      const expected = word | FUTEX_WAITERS;
      if ((word & FUTEX_TID_MASK) === 0) continue;
      if (word !== expected && cpu.cmpxchgRelaxed(this.#word, word, expected) !== word) continue;
      const left = timeout === undefined ? undefined : Math.max(0, (deadline - cpu.now()) / 1e6);
      this.#sleep(expected, left);
    }
  }

  protected take(mark: number): boolean {
    const { cpu } = this.#arena;
    let word = cpu.load(this.#word);
    while ((word & FUTEX_TID_MASK) === 0) {
      const seen = cpu.cmpxchgAcquire(this.#word, word, word | this.#futex.tid | mark);
      if (seen === word) return true;
      word = seen;
    }
    return false;
  }

  protected release(): void {
    if (this.#arena.cpu.xchgRelease(this.#word, 0) & FUTEX_WAITERS) this.#futex.wake(this.#word);
  }

  #link(): void {
    const { cpu } = this.#arena;
    cpu.store(this.#block + ENTRY, cpu.load(this.#head + RobustListHead.next));
    cpu.store(this.#head + RobustListHead.next, this.#entry);
    cpu.store(this.#head + RobustListHead.pending, 0);
  }

  #sleep(expected: number, timeout: number | undefined): void {
    try {
      this.#futex.wait(this.#word, expected, { timeout });
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'EAGAIN')) throw error;
    }
  }
}

/** The same by the priority-inheriting operations. */
export class PiFutexMutex extends FutexMutex {
  readonly #arena: Arena;
  readonly #pi: PiFutex;
  readonly #word: number;

  constructor(arena: Arena, block: number) {
    super(arena, block, ROBUST_PI);
    this.#arena = arena;
    this.#pi = new PiFutex(arena);
    this.#word = block + WORD;
  }

  protected override wait(timeout: number | undefined): void {
    if (this.#arena.cpu.cmpxchgAcquire(this.#word, 0, this.#pi.tid) === 0) return;
    this.#pi.lockPi2(
      this.#word,
      timeout === undefined ? undefined : { deadline: this.#arena.cpu.now() / 1e6 + timeout },
    );
  }

  protected override take(): boolean {
    if (this.#arena.cpu.cmpxchgAcquire(this.#word, 0, this.#pi.tid) === 0) return true;
    try {
      this.#pi.tryLockPi(this.#word);
      return true;
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'EAGAIN') return false;
      throw error;
    }
  }

  protected override release(): void {
    const { tid } = this.#pi;
    if (this.#arena.cpu.cmpxchgRelease(this.#word, tid, 0) !== tid) this.#pi.unlockPi(this.#word);
  }
}
