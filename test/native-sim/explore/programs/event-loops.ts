/**
 * Threads with an event loop, as programs to explore: several asynchronous calls on each, beside the synchronous ones of the
 * same thread and of others. What runs is `lockAsync` and the like, as they ship.
 */

import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { Mutex } from '../../../../lib/locking/mutex.ts';
import { HANDOFF, MutexWords } from '../../../../lib/locking/mutex-core.ts';
import { WAITERS } from '../../../../lib/locking/owner-word.ts';
import { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RtMutex } from '../../../../lib/locking/rt-mutex/rt-mutex.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore/rw-semaphore.ts';
import {
  listOf,
  HANDOFF as RW_HANDOFF,
  WAITERS as RW_WAITERS,
  wordOf,
} from '../../../../lib/locking/rw-semaphore/words.ts';
import { Semaphore } from '../../../../lib/locking/semaphore/semaphore.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { latch, unlatch } from '../../../../lib/memory/latch.ts';
import { PthreadMutex } from '../../../../lib/pthread/mutex/mutex.ts';
import { PthreadRwlock } from '../../../../lib/pthread/rwlock.ts';
import type { AsyncWaitOptions } from '../../../../lib/sched/drive.ts';
import { firstWaiter, WaitList } from '../../../../lib/sched/wait-list.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS } from './futex.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';
import { inherit, openPart, type PairLock } from './pairs.ts';

interface Held {
  release(): void;
  readonly ownerDied?: boolean;
  makeConsistent?(): void;
}

/** A lock as asynchronous code uses it. */
interface AsyncPart {
  take(options?: AsyncWaitOptions): Promise<Held>;
  read?(options?: AsyncWaitOptions): Promise<Held>;
}

const exclusive = (lock: { acquireAsync(options?: AsyncWaitOptions): Promise<Held> }): AsyncPart => ({
  take: (options) => lock.acquireAsync(options),
});

const readerWriter = (lock: {
  acquireReadAsync(options?: AsyncWaitOptions): Promise<Held>;
  acquireWriteAsync(options?: AsyncWaitOptions): Promise<Held>;
}): AsyncPart => ({
  take: (options) => lock.acquireWriteAsync(options),
  read: (options) => lock.acquireReadAsync(options),
});

const LOCKS = {
  mutex: (arena: Arena, handle: ObjectHandle) => exclusive(new Mutex(arena, handle)),
  'rt-mutex': (arena: Arena, handle: ObjectHandle) => exclusive(new RtMutex(arena, handle)),
  'pthread mutex': (arena: Arena, handle: ObjectHandle) => exclusive(new PthreadMutex(arena, handle)),
  semaphore: (arena: Arena, handle: ObjectHandle) => exclusive(new Semaphore(arena, handle)),
  'rw-semaphore': (arena: Arena, handle: ObjectHandle) => readerWriter(new RwSemaphore(arena, handle)),
  'percpu-rw-semaphore': (arena: Arena, handle: ObjectHandle) => readerWriter(new PercpuRwSemaphore(arena, handle)),
  'pthread rwlock': (arena: Arena, handle: ObjectHandle) =>
    readerWriter(new PthreadRwlock(arena, handle, { preference: 'writers' })),
} satisfies Partial<Record<PairLock, unknown>>;

export type LoopLock = keyof typeof LOCKS;
export const LOOP_LOCKS = Object.keys(LOCKS) as LoopLock[];

/**
 * What a task of an event loop does. `urgent`: with a better priority than the others; `abort`: its signal aborts as soon
 * as the last thread has said something; `beside`: it calls the lock synchronously, on the thread of the others.
 */
export const LOOP_ACTS = ['take', 'urgent', 'give up', 'abort', 'beside', 'read', 'give up reading'] as const;
export type LoopAct = (typeof LOOP_ACTS)[number];

export function canOnLoop(lock: LoopLock, act: LoopAct): boolean {
  // A semaphore has no owner: nothing tells that the thread's own asynchronous code has what it waits for.
  if (act === 'beside') return lock !== 'semaphore';
  return (act !== 'read' && act !== 'give up reading') || lock.includes('rw');
}

/** ms; the explored clock stands still but for waits that time out. */
const SOON = 1;
/** Words behind the arena: what the lock protects, what each task has added to it, and what aborts. */
const MOST_TASKS = 6;
const CELLS = 2 + MOST_TASKS;

interface LoopOptions {
  /** Tasks must be made first, which takes memory from the heap. */
  isFresh?: boolean;
  /** Nanoseconds that may pass before a thread looks at the clock. */
  clock?: readonly number[];
  /** How many may die in one execution. @default 1 */
  deaths?: number;
}

/** `hand over`: it gives the lock to the first in line, and waits for it again; or waits to read. */
export type OtherAct = 'take' | 'read' | 'hand over' | 'hand over, and read';

/** `loop`: the tasks of thread 0; `others`: what each other thread does, without an event loop. */
export function onEventLoop(
  name: LoopLock,
  loop: readonly LoopAct[],
  others: readonly OtherAct[],
  { isFresh = false, clock, deaths = 1 }: LoopOptions = {},
): Program {
  const words = name.includes('pthread') ? FUTEX_WORDS : 4096;
  const threads = 1 + others.length;
  const flag = words + CELLS - 1;
  type Shared = View & { handle: ObjectHandle };
  const count = (cpu: Cpu, task: number) => {
    cpu.write(words, cpu.read(words) + 1);
    cpu.write(words + 1 + task, cpu.read(words + 1 + task) + 1);
  };

  const runTask = async (cpu: Cpu, arena: Arena, handle: ObjectHandle, act: LoopAct, task: number): Promise<void> => {
    const lock = LOCKS[name](arena, handle) as AsyncPart;
    const isReader = act === 'read' || act === 'give up reading';
    const take = (options?: AsyncWaitOptions) => (isReader ? lock.read!(options) : lock.take(options));
    if (act === 'beside') return callBeside(arena, handle, () => count(cpu, task));
    const held = await take(await optionsOf(cpu, act)).catch(unlessGivenUp);
    if (held === undefined) return;
    if (held.ownerDied) held.makeConsistent?.();
    if (isReader) cpu.read(words);
    else count(cpu, task);
    held.release();
  };

  const callBeside = async (arena: Arena, handle: ObjectHandle, inside: () => void): Promise<void> => {
    await Promise.resolve();
    const lock = openPart(name, arena, handle);
    try {
      lock.take();
    } catch (error) {
      // Its own thread's asynchronous code has it.
      if (error instanceof HoldfastError && error.code === 'EDEADLK') return;
      throw error;
    }
    inside();
    lock.release();
  };

  const optionsOf = async (cpu: Cpu, act: LoopAct): Promise<AsyncWaitOptions | undefined> => {
    if (act.startsWith('give up')) return { timeout: SOON };
    if (act === 'urgent') return { priority: -1 };
    if (act !== 'abort') return undefined;
    const controller = new AbortController();
    void (async () => {
      while (cpu.loadAcquire(flag) === 0) await cpu.waitAsync(flag, 0, Number.POSITIVE_INFINITY);
      controller.abort();
    })().catch(() => {});
    return { signal: controller.signal };
  };

  const program: Program<Shared> = {
    words: words + CELLS,
    clock,
    setup(cpu) {
      const view = makeArenas(cpu, threads, 1, words, deaths);
      const { thread, heap } = view.arenas[0]!;
      if (!isFresh) thread.returnTask(thread.takeTask(heap));
      return { ...view, handle: openPart(name, view.arenas[0]!).handle };
    },
    threads: [
      async (cpu, me, { handle }) => {
        // What a thread knows of its tasks is its own: a replay begins without.
        const arena = new Arena(new Place(cpu, me, { spins: 1 }));
        await Promise.all(loop.map((act, task) => runTask(cpu, arena, handle, act, task)));
      },
      ...others.map((act, i) => (cpu: Cpu, me: number, { arenas, handle }: Shared) => {
        if (me === threads - 1) {
          cpu.storeRelease(flag, 1);
          cpu.wake(flag, Number.POSITIVE_INFINITY);
        }
        const lock = openPart(name, arenas[me]!, handle);
        const write = (handsOver: boolean) => {
          lock.take();
          count(cpu, loop.length + i);
          if (handsOver) askForHandOff(cpu, name, handle.address, me + 1);
          lock.release();
        };
        if (act.startsWith('hand over')) write(true);
        if (act === 'take' || act === 'hand over') return write(false);
        lock.read?.();
        cpu.read(words);
        lock.releaseRead?.();
      }),
    ],
    reaper(cpu, died, view, me, inherited) {
      reapFor(view, died, me, inherited, deaths, 1);
      // What a dead thread has not said.
      cpu.storeRelease(flag, 1);
      cpu.wake(flag, Number.POSITIVE_INFINITY);
    },
    check(memory: FinalMemory, { handle }) {
      let sum = 0;
      for (let task = 0; task < MOST_TASKS; task++) sum += memory.read(words + 1 + task);
      if (memory.died.length === 0 && memory.read(words) !== sum) {
        throw new Error(`${memory.read(words)} of ${sum} counts`);
      }
      inspectAfterDeath(memory);
      inherit(memory, threads + deaths - 1, words, (arena) => openPart(name, arena, handle));
    },
  };
  return program as unknown as Program;
}

/** As the first in line does, if there is one, when it was woken in vain; the other locks are given to it without. */
function askForHandOff(cpu: Cpu, name: LoopLock, address: number, id: number): void {
  const asked = {
    mutex: { list: address + MutexWords.waiters, word: address + MutexWords.owner, flags: WAITERS | HANDOFF },
    'rw-semaphore': { list: listOf(address), word: wordOf(address), flags: RW_WAITERS | RW_HANDOFF },
  };
  if (name !== 'mutex' && name !== 'rw-semaphore') return;
  const { list, word, flags } = asked[name];
  latch(cpu, list + WaitList.latch, id);
  if (firstWaiter(cpu, list) !== 0) cpu.fetchOrRelaxed(word, flags);
  unlatch(cpu, list + WaitList.latch);
}

/** Undefined for a call that has timed out, or whose signal has aborted. */
function unlessGivenUp(error: unknown): undefined {
  if (error instanceof HoldfastError && error.code === 'ETIMEDOUT') return undefined;
  if (error instanceof DOMException && error.name === 'AbortError') return undefined;
  throw error;
}
