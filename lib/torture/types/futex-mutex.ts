import type { Arena } from '../../arena/arena.ts';
import { HoldfastError } from '../../errors.ts';
import { Futex } from '../../futex/futex.ts';
import { PiFutex } from '../../futex/pi-futex.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, ROBUST_PI, RobustListHead } from '../../futex/robust-list.ts';
import type { AsyncWaitOptions } from '../../sched/drive.ts';
import { maxThreads } from '../../sched/slot.ts';
import { type LockType, SLEEPING, type View } from '../lock-type.ts';

/** The list entry of the lock, and its futex word; then a robust list's head for each thread. */
const ENTRY = 0;
const WORD = 1;
const HEADS = 16;
const HEAD_WORDS = 16;

export const futexMutex: LockType = {
  ...SLEEPING,
  name: 'futex-mutex',
  summary: 'a mutex of one word over the raw futex, held by the robust list protocol',
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
  /** The thread's calls for which the lock is the pending one. */
  #underWay = 0;

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
    this.#begin();
    try {
      this.wait(timeout);
      this.#link();
    } finally {
      this.#end();
    }
    return true;
  }

  async lockAsync(_mode: string, options: AsyncWaitOptions): Promise<() => void> {
    this.#begin();
    try {
      await this.waitAsync(options);
      this.#link();
    } finally {
      this.#end();
    }
    return () => this.unlock();
  }

  tryLock(): boolean {
    this.#begin();
    const isTaken = this.take(0);
    if (isTaken) this.#link();
    this.#end();
    return isTaken;
  }

  unlock(): void {
    const { cpu } = this.#arena;
    this.#begin();
    cpu.store(this.#head + RobustListHead.next, cpu.load(this.#block + ENTRY));
    this.release();
    this.#end();
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
    const left = this.#timer(timeout);
    for (let seen = this.#takeOrMark(0); seen !== undefined; seen = this.#takeOrMark(FUTEX_WAITERS)) {
      if ((seen & FUTEX_TID_MASK) === this.#futex.tid) throw new HoldfastError('EDEADLK', 'this thread has the futex');
      try {
        this.#futex.wait(this.#word, seen, { timeout: left() });
      } catch (error) {
        unlessChanged(error);
      }
    }
  }

  protected async waitAsync({ timeout, signal }: AsyncWaitOptions): Promise<void> {
    const left = this.#timer(timeout);
    for (let seen = this.#takeOrMark(0); seen !== undefined; seen = this.#takeOrMark(FUTEX_WAITERS)) {
      await this.#futex.waitAsync(this.#word, seen, { timeout: left(), signal }).catch(unlessChanged);
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

  /** Takes the word, or says that somebody waits; then what the word is. */
  #takeOrMark(mark: number): number | undefined {
    const { cpu } = this.#arena;
    while (!this.take(mark)) {
      const word = cpu.load(this.#word);
      const marked = word | FUTEX_WAITERS;
      if ((word & FUTEX_TID_MASK) === 0) continue;
      if (word === marked || cpu.cmpxchgRelaxed(this.#word, word, marked) === word) return marked;
    }
    return undefined;
  }

  #timer(timeout: number | undefined): () => number | undefined {
    const { cpu } = this.#arena;
    if (timeout === undefined) return () => undefined;
    const deadline = cpu.now() + timeout * 1e6;
    return () => Math.max(0, (deadline - cpu.now()) / 1e6);
  }

  #begin(): void {
    this.#underWay++;
    this.#arena.cpu.store(this.#head + RobustListHead.pending, this.#entry);
  }

  #end(): void {
    if (--this.#underWay === 0) this.#arena.cpu.store(this.#head + RobustListHead.pending, 0);
  }

  #link(): void {
    const { cpu } = this.#arena;
    cpu.store(this.#block + ENTRY, cpu.load(this.#head + RobustListHead.next));
    cpu.store(this.#head + RobustListHead.next, this.#entry);
  }
}

function unlessChanged(error: unknown): void {
  if (!(error instanceof HoldfastError && error.code === 'EAGAIN')) throw error;
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
    this.#pi.lockPi2(this.#word, this.#until(timeout));
  }

  protected override async waitAsync({ timeout, signal }: AsyncWaitOptions): Promise<void> {
    await this.#pi.lockPiAsync(this.#word, { ...this.#until(timeout), signal });
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

  #until(timeout: number | undefined): { deadline: number } | undefined {
    return timeout === undefined ? undefined : { deadline: this.#arena.cpu.now() / 1e6 + timeout };
  }
}
