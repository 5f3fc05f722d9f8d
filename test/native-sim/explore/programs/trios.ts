/**
 * Programs of three threads with mixed roles, room by room: what each thread does is a word in a list, so any three of a room's
 * words are a program. Two threads never show what takes a third: one that waits in front of another, one that gives up while a
 * second hands over, and a death beside both.
 *
 * None of them needs luck to end: who waits for what others give, does so for no more than the living and the heirs of the dead
 * give. So a thread that sleeps in the end has been forgotten.
 */

import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { Completion } from '../../../../lib/locking/completion.ts';
import { McsLock } from '../../../../lib/locking/mcs-lock.ts';
import { Semaphore } from '../../../../lib/locking/semaphore/semaphore.ts';
import { PERMIT, SemaphoreWords } from '../../../../lib/locking/semaphore/words.ts';
import { SpinningLockHeader } from '../../../../lib/locking/spinning-lock.ts';
import { TicketLock } from '../../../../lib/locking/ticket-lock.ts';
import { WaitQueue } from '../../../../lib/locking/wait-queue.ts';
import { WaitQueueWords } from '../../../../lib/locking/wait-queue-core.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import { defineKind } from '../../../../lib/memory/kinds.ts';
import { latch, unlatch } from '../../../../lib/memory/latch.ts';
import { ObjectHeader } from '../../../../lib/memory/objects.ts';
import { PthreadCond } from '../../../../lib/pthread/cond.ts';
import { PthreadMutex } from '../../../../lib/pthread/mutex/mutex.ts';
import { PthreadSem, SemWords } from '../../../../lib/pthread/sem.ts';
import type { WaitOptions } from '../../../../lib/sched/drive.ts';
import { Task } from '../../../../lib/sched/task.ts';
import { WaitList, waiters } from '../../../../lib/sched/wait-list.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS } from './futex.ts';
import { snapshot } from './holdfast.ts';
import { inspect } from './inspection.ts';
import { type Body, onObject } from './on-object.ts';

/** ms; the explored clock stands still but for waits that time out. */
const SOON = 1;

/** Each choice of three of `acts`; with `some`, one or two of them are of these. */
export function threes<Act extends string>(acts: readonly Act[], some?: readonly Act[]): Act[][] {
  const all = acts.flatMap((first, i) =>
    acts.slice(i).flatMap((second, j) => acts.slice(i + j).map((third) => [first, second, third])),
  );
  if (some === undefined) return all;
  return all.filter((three) => {
    const count = three.filter((act) => some.includes(act)).length;
    return count === 1 || count === 2;
  });
}

/** Whether `wait` came to its end before it gave up. */
function inTime(wait: () => void): boolean {
  try {
    wait();
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'ETIMEDOUT') return false;
    throw error;
  }
  return true;
}

/** The arena as a thread finds it that comes when all is over: whole, and nobody waits. */
function whole(memory: FinalMemory, words: number, number: number): Arena {
  inspect(memory);
  const arena = new Arena(new Place(snapshot(memory, words), number, { spins: 1 }));
  const problems = [...arena.fsck(), ...arena.waits().map((each) => JSON.stringify(each))];
  if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
  return arena;
}

/** What is counted: units that some give and others take, one at a time. */
interface Supply {
  readonly address: number;
  take(options?: WaitOptions): void;
  tryTake(): boolean;
  give(): void;
}

const SUPPLIES = {
  semaphore: (arena: Arena, first?: Supply) => {
    const view = new Semaphore(arena, (first as (Supply & Semaphore) | undefined)?.handle, { permits: 1 });
    if (first === undefined) view.down();
    return Object.assign(view, {
      take: (options?: WaitOptions) => view.down(options),
      tryTake: () => view.tryDown(),
      give: () => view.up(),
    });
  },
  completion: (arena: Arena, first?: Supply) => {
    const view = new Completion(arena, (first as (Supply & Completion) | undefined)?.handle);
    return Object.assign(view, {
      take: (options?: WaitOptions) => view.wait(options),
      tryTake: () => view.tryWait(),
      give: () => view.complete(),
    });
  },
  'pthread sem': (arena: Arena, first?: Supply) => {
    const view = new PthreadSem(arena, (first as (Supply & PthreadSem) | undefined)?.handle);
    return Object.assign(view, {
      take: (options?: WaitOptions) => view.wait(options),
      tryTake: () => view.tryWait(),
      give: () => view.post(),
    });
  },
} satisfies Record<string, (arena: Arena, first?: Supply) => Supply>;

export type SupplyName = keyof typeof SUPPLIES;
export const SUPPLY_NAMES = Object.keys(SUPPLIES) as SupplyName[];

/** take: one, and waits for it; soon: one, or gives up; try: one, if it is there; urgent: takes with a better priority; give: as many as all want. */
export const SUPPLY_ACTS = ['take', 'soon', 'try', 'urgent', 'give'] as const;
export type SupplyAct = (typeof SUPPLY_ACTS)[number];

/** What was given is taken once, or there: `cell` counts what was taken, by thread. One of `acts` gives. */
export function supply(name: SupplyName, acts: readonly SupplyAct[], spins: number, deaths = 1): Program {
  const make: (arena: Arena, first?: Supply) => Supply = SUPPLIES[name];
  const [offset, unit] = name === 'pthread sem' ? [SemWords.value, 1] : [SemaphoreWords.count, PERMIT];
  const wanted = acts.filter((act) => act !== 'give').length;
  const words = name === 'pthread sem' ? FUTEX_WORDS : 4096;
  const body = (act: SupplyAct): Body<Supply> => {
    if (act === 'give') {
      return (_cpu, _me, _arena, view) => {
        for (let i = 0; i < wanted; i++) view.give();
      };
    }
    return (cpu, me, _arena, view, cell) => {
      if (act === 'try' ? view.tryTake() : inTime(() => view.take(act === 'soon' ? { timeout: SOON } : undefined))) {
        cpu.store(cell + me, 1);
      }
    };
  };
  return onObject(
    (arena, first?: Supply) => {
      if (acts[arena.thread.number] === 'urgent') arena.thread.setPriority(-1);
      return make(arena, first);
    },
    acts.map(body),
    spins,
    {
      words,
      deaths,
      stalls: true,
      settleSpins: 1,
      remembers: name === 'semaphore',
      heir(_cpu, died, _arena, view) {
        if (acts[died] === 'give') for (let i = 0; i < wanted; i++) view.give();
      },
      check(memory, cell, [{ address }]) {
        whole(memory, words, acts.length + deaths - 1);
        const left = memory.read(address + offset) / unit;
        const taken = acts.reduce((sum, _act, me) => sum + memory.read(cell + me), 0);
        const takersDied = memory.died.filter((thread) => thread < acts.length && acts[thread] !== 'give').length;
        const givers = acts.filter((act) => act === 'give').length;
        const missing = wanted * givers - left - taken;
        if (memory.died.some((thread) => acts[thread] === 'give')) {
          if (missing > takersDied) throw new Error(`${missing} are missing in the end`);
        } else if (missing < 0 || missing > takersDied) {
          throw new Error(`${missing} are missing in the end, ${takersDied} may be`);
        }
      },
    },
  );
}

/** wait: until all is made; soon: or gives up; one: makes it, and signals one, all: makes it, and signals all. */
export const COND_ACTS = ['wait', 'soon', 'one', 'all'] as const;
export type CondAct = (typeof COND_ACTS)[number];

/** A condition that a mutex guards. Who finds that it holds signals the next; a thread's death is a signal, too. */
export function condition(acts: readonly CondAct[], spins: number, deaths = 1): Program {
  type Pair = { mutex: PthreadMutex; cond: PthreadCond };
  const open = (arena: Arena, first?: Pair): Pair => ({
    mutex: new PthreadMutex(arena, first?.mutex.handle),
    cond: new PthreadCond(arena, first?.cond.handle),
  });
  const consistent = (mutex: PthreadMutex) => {
    if (mutex.ownerDied) mutex.makeConsistent();
  };
  const body =
    (act: CondAct): Body<Pair> =>
    (cpu, _me, _arena, { mutex, cond }, cell) => {
      mutex.lock();
      consistent(mutex);
      if (act === 'one' || act === 'all') {
        cpu.write(cell, 1);
        if (act === 'one') cond.signal();
        mutex.unlock();
        if (act === 'all') cond.broadcast();
        return;
      }
      while (cpu.read(cell) === 0) {
        const isInTime = inTime(() => cond.wait(mutex, act === 'soon' ? { timeout: SOON } : undefined));
        consistent(mutex);
        if (!isInTime) break;
      }
      if (cpu.read(cell) === 1) cond.signal();
      mutex.unlock();
    };
  return onObject(open, acts.map(body), spins, {
    words: FUTEX_WORDS,
    deaths,
    stalls: true,
    settleSpins: 1,
    heir(cpu, _died, _arena, { mutex, cond }, cell) {
      mutex.lock();
      consistent(mutex);
      cpu.write(cell, 1);
      mutex.unlock();
      cond.broadcast();
    },
    check(memory, _cell, [{ mutex }]) {
      const arena = whole(memory, FUTEX_WORDS, acts.length + deaths - 1);
      if (!new PthreadMutex(arena, mutex.handle).tryLock()) throw new Error('the mutex is not free in the end');
    },
  });
}

/** share: waits with others; alone: exclusively; soon: exclusively, or gives up; urgent: with a better priority; wake: makes it true, and wakes one. */
export const QUEUE_ACTS = ['share', 'alone', 'soon', 'urgent', 'wake'] as const;
export type QueueAct = (typeof QUEUE_ACTS)[number];

/** A waiter that finds that the condition holds wakes the next. One that gives up passes on the wake-up that it has had. */
export function queue(acts: readonly QueueAct[], spins: number, deaths = 1): Program {
  const body =
    (act: QueueAct): Body<WaitQueue> =>
    (cpu, _me, _arena, view, cell) => {
      if (act === 'wake') {
        cpu.storeRelease(cell, 1);
        view.wake();
        return;
      }
      const options = { exclusive: act !== 'share', ...(act === 'soon' && { timeout: SOON }) };
      if (inTime(() => view.wait(() => cpu.loadAcquire(cell) === 1, options))) view.wake();
    };
  return onObject(
    (arena, first?: WaitQueue) => {
      if (acts[arena.thread.number] === 'urgent') arena.thread.setPriority(-1);
      return new WaitQueue(arena, first?.handle);
    },
    acts.map(body),
    spins,
    {
      deaths,
      stalls: true,
      settleSpins: 1,
      heir(cpu, died, { thread }, view, cell) {
        const list = view.address + WaitQueueWords.waiters;
        latch(cpu, list + WaitList.latch, thread.id);
        const isSaid = waiters(cpu, list).every((task) => cpu.load(task + Task.blockedOn) === view.address);
        unlatch(cpu, list + WaitList.latch);
        if (!isSaid) throw new Error('one that is in the list waits for nothing');
        if (acts[died] !== 'wake') return;
        cpu.storeRelease(cell, 1);
        view.wake();
      },
      check(memory, _cell, [{ address }]) {
        whole(memory, 4096, acts.length + deaths - 1);
        if (memory.read(address + WaitQueueWords.waiting) !== 0) throw new Error('some count as waiting still');
        if (memory.read(address + WaitQueueWords.waiters + WaitList.first) !== 0)
          throw new Error('the list is not empty');
      },
    },
  );
}

/** block: allocates, writes, frees; two: two blocks; name, other: opens a mutex by its name; gone: destroys that of `name`. */
export const MEMORY_ACTS = ['block', 'two', 'name', 'other', 'gone'] as const;
export type MemoryAct = (typeof MEMORY_ACTS)[number];

const NAMED = defineKind({
  name: 'explored-named',
  words: ObjectHeader.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair: () => true,
});

/** Memory and names. Whoever has a block has it alone, and no death costs any. */
export function memory(acts: readonly MemoryAct[], deaths = 1): Program {
  const use = (cpu: Cpu, block: number, words: number, mark: number) => {
    cpu.write(block, mark);
    cpu.write(block + words - 1, mark);
    if (cpu.read(block) !== mark) throw new Error(`the block at ${block} is another's, too`);
  };
  const bodies: Record<MemoryAct, (cpu: Cpu, me: number, arena: Arena) => void> = {
    block(cpu, me, { heap, thread }) {
      const block = heap.alloc(20, thread.nascent);
      use(cpu, block, 20, me);
      heap.free(block, thread.nascent);
    },
    two(cpu, me, { heap, thread }) {
      const sizes = [20, 70];
      const blocks = sizes.map((words) => {
        const block = heap.alloc(words, thread.nascent);
        use(cpu, block, words, me);
        // It is nobody's if this thread dies: the next one is in its nascent word.
        heap.free(block, thread.nascent);
        return block;
      });
      if (blocks.includes(0)) throw new Error('no block');
    },
    name: (_cpu, _me, { objects }) => void objects.open(NAMED, 'a'),
    other: (_cpu, _me, { objects }) => void objects.open(NAMED, 'b'),
    gone(_cpu, _me, { objects }) {
      const address = objects.open(NAMED, 'a');
      try {
        objects.destroy(NAMED, address, () => false);
      } catch (error) {
        // Another one has destroyed it.
        if (!(error instanceof HoldfastError)) throw error;
      }
    },
  };
  const body =
    (act: MemoryAct): Body<undefined> =>
    // What a thread knows of its views is its own: a replay begins without.
    (cpu, me) =>
      bodies[act](cpu, me, new Arena(new Place(cpu, me, { spins: 1 })));
  return onObject(() => undefined, acts.map(body), 1, {
    deaths,
    stalls: true,
    settleSpins: 1,
    check(left) {
      const arena = whole(left, 4096, acts.length + deaths - 1);
      for (const name of ['a', 'b']) arena.objects.open(NAMED, name);
      const { objects, blocks } = { objects: arena.list().length, blocks: new Heap(arena.cpu, 1).use().blocks };
      if (objects < 2 || blocks > 2 + acts.length) throw new Error(`${objects} objects in ${blocks} blocks`);
    },
  });
}

const SPINNERS = {
  mcs: (arena: Arena, handle?: ObjectHandle) => new McsLock(arena, handle),
  ticket: (arena: Arena, handle?: ObjectHandle) => new TicketLock(arena, handle),
};
export type SpinnerName = keyof typeof SPINNERS;

/** A lock whose owner has died: the first thread that takes it says that all is in order, while the others come. */
export function inherited(name: SpinnerName, threads: number): Program {
  const make: (arena: Arena, handle?: ObjectHandle) => McsLock | TicketLock = SPINNERS[name];
  const body: Body<McsLock | TicketLock> = (_cpu, _me, _arena, lock) => {
    lock.lock();
    if (lock.ownerDied) lock.makeConsistent();
    lock.unlock();
  };
  const open = (arena: Arena, first?: McsLock | TicketLock) => {
    const lock = make(arena, first?.handle);
    if (first === undefined) arena.cpu.store(lock.address + SpinningLockHeader.ownerDied, 1);
    return lock;
  };
  return onObject(open, Array<Body<McsLock | TicketLock>>(threads).fill(body), Number.POSITIVE_INFINITY);
}
