/**
 * The memory of tasks goes back to the heap under real locks: thread 0 has an event loop and takes the lock there with a task of
 * a second chunk; when it has let go, it tidies up, and uses the memory otherwise as soon as its round is over. The others meet that task
 * in the lock's list or word, in the chain of chunks, or in their own memory. A late look at the task is a data race.
 */
import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { Mutex } from '../../../../lib/locking/mutex.ts';
import { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RtMutex } from '../../../../lib/locking/rt-mutex/rt-mutex.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore/rw-semaphore.ts';
import { Semaphore } from '../../../../lib/locking/semaphore/semaphore.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import { PthreadMutex } from '../../../../lib/pthread/mutex/mutex.ts';
import { PthreadRwlock } from '../../../../lib/pthread/rwlock.ts';
import { tellRound } from '../../../../lib/sched/rounds.ts';
import {
  asyncTasks,
  CHUNK_TASKS,
  CHUNK_WORDS,
  Chunk,
  retiredChunks,
  Slot,
  slotAddress,
} from '../../../../lib/sched/slot.ts';
import { TASK_ALIGN, Task } from '../../../../lib/sched/task.ts';
import { TaskStore } from '../../../../lib/sched/task-store.ts';
import type { Thread } from '../../../../lib/sched/thread.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapAll, reapOnce, snapshot, type View } from './holdfast.ts';
import { inspect } from './inspection.ts';

interface Held {
  release(): void;
  readonly ownerDied?: boolean;
  makeConsistent?(): void;
}

/** A lock as these threads use it. */
interface Part {
  readonly handle: ObjectHandle;
  acquire(options?: { timeout: number }): Held;
  acquireAsync(): Promise<Held>;
}

interface Written {
  readonly handle: ObjectHandle;
  acquireWrite(options?: { timeout: number }): Held;
  acquireWriteAsync(): Promise<Held>;
}

const written = (lock: Written): Part => ({
  handle: lock.handle,
  acquire: (options) => lock.acquireWrite(options),
  acquireAsync: () => lock.acquireWriteAsync(),
});

const LOCKS = {
  mutex: (arena: Arena, handle?: ObjectHandle): Part => new Mutex(arena, handle),
  'rt-mutex': (arena: Arena, handle?: ObjectHandle): Part => new RtMutex(arena, handle),
  semaphore: (arena: Arena, handle?: ObjectHandle): Part => new Semaphore(arena, handle, { permits: 1 }),
  'rw-semaphore': (arena: Arena, handle?: ObjectHandle): Part => written(new RwSemaphore(arena, handle)),
  'percpu-rw-semaphore': (arena: Arena, handle?: ObjectHandle): Part => written(new PercpuRwSemaphore(arena, handle)),
  /** Event loops read. What a dead writer has left is not theirs to mend. */
  'percpu-rw-semaphore, read': (arena: Arena, handle?: ObjectHandle): Part => {
    const lock = new PercpuRwSemaphore(arena, handle);
    const acquireAsync = async () => {
      const held = await lock.acquireReadAsync();
      return { release: () => held.release() };
    };
    return { ...written(lock), acquireAsync };
  },
  'pthread mutex': (arena: Arena, handle?: ObjectHandle): Part => new PthreadMutex(arena, handle),
  'pthread rwlock': (arena: Arena, handle?: ObjectHandle): Part => written(new PthreadRwlock(arena, handle)),
};

export type RetiredLock = keyof typeof LOCKS;
export const RETIRED_LOCKS = Object.keys(LOCKS) as RetiredLock[];

/**
 * What a thread does beside thread 0. take: takes the lock, and lets go; soon: or gives up; urgent: the same with a better priority; walk: looks at all
 * tasks of thread 0, twice; fresh: waits for the lock on an event loop, and has no memory for tasks yet; look: says who waits for what.
 * Each tells the round where it sleeps and when it is through.
 */
export const RETIRED_ACTS = ['take', 'soon', 'urgent', 'walk', 'fresh', 'look'] as const;
export type RetiredAct = (typeof RETIRED_ACTS)[number];

const OWNER = 0;
const WORDS = 12_288;
const SOON = 1;
const LIFE = 1;

interface Shared extends View {
  handle: ObjectHandle;
  /** Blocks of the heap that are no chunks. */
  standing: number;
}

/** The thread tells rounds where it sleeps, as `TaskCare` has it. */
function tellsAsleep(cpu: Cpu, thread: Thread): void {
  thread.hooks.add({ sleeping: () => tellRound(cpu, thread.slot), running: () => {} });
}

function use(held: Held): void {
  if (held.ownerDied) held.makeConsistent?.();
  held.release();
}

function useInTime(part: Part, options?: { timeout: number }): void {
  let held: Held;
  try {
    held = part.acquire(options);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'ETIMEDOUT') return;
    throw error;
  }
  use(held);
}

/** Frees what is not needed, and uses the memory of `task` for something else if it is free. */
function tidy(cpu: Cpu, { thread, heap }: Arena, task: number): void {
  const { tasks } = thread;
  for (let turn = 0; turn < 3; turn++) {
    const isUnderWay = tasks.tidy(heap) !== 0;
    if (!isUnderWay) break;
    // The others come.
    cpu.relax();
  }
  if ([...asyncTasks(cpu, thread.slot)].includes(task) || cpu.load(thread.slot + Slot.retired) !== 0) return;
  const block = heap.alloc(CHUNK_WORDS + TASK_ALIGN, thread.nascent);
  if (block < task && task < block + CHUNK_WORDS) {
    for (let word = 0; word < Task.words; word++) cpu.write(task + word, -1);
  }
  heap.free(block, thread.nascent);
}

function lookAtAll(cpu: Cpu): void {
  for (const task of asyncTasks(cpu, slotAddress(cpu, OWNER))) cpu.load(task + Task.state);
}

/** `others`: what each thread beside thread 0 does. */
export function retired(name: RetiredLock, others: readonly RetiredAct[], deaths = 1): Program {
  const make = LOCKS[name];
  const threads = 1 + others.length;
  const bodies: Record<RetiredAct, (cpu: Cpu, arena: Arena, handle: ObjectHandle) => void> = {
    take: (_cpu, arena, handle) => useInTime(make(arena, handle)),
    soon: (_cpu, arena, handle) => useInTime(make(arena, handle), { timeout: SOON }),
    urgent: (_cpu, arena, handle) => useInTime(make(arena, handle)),
    walk(cpu, { thread }) {
      for (let turn = 0; turn < 2; turn++) {
        lookAtAll(cpu);
        tellRound(cpu, thread.slot);
      }
    },
    fresh() {},
    look: (_cpu, arena) => void arena.waits(),
  };
  const open = (cpu: Cpu, me: number) => {
    const arena = new Arena(new Place(cpu, me, { spins: 1 }));
    tellsAsleep(cpu, arena.thread);
    return arena;
  };
  const program: Program<Shared> = {
    words: WORDS,
    setup(cpu) {
      const view = makeArenas(cpu, threads, 1, WORDS, deaths);
      const { thread, heap } = view.arenas[OWNER] as Arena;
      // A chunk that stays, and one that does not, whose tasks come first.
      const tasks = Array.from({ length: CHUNK_TASKS + 1 }, () => thread.tasks.take(heap, true) as number);
      thread.tasks.keep(tasks[CHUNK_TASKS] as number);
      others.forEach((act, i) => {
        if (act === 'urgent') (view.arenas[1 + i] as Arena).thread.setPriority(-1);
      });
      const { handle } = make(view.arenas[OWNER] as Arena);
      const standing = heap.use().blocks - 2;
      // They attach when they come.
      for (const { thread } of view.arenas.slice(threads)) cpu.store(thread.slot + Slot.life, 0);
      return { ...view, handle, standing };
    },
    threads: [
      async (cpu, me, { handle }) => {
        const arena = open(cpu, me);
        const task = arena.thread.tryTakeTask(arena.heap) as number;
        arena.thread.returnTask(task);
        use(await make(arena, handle).acquireAsync());
        // Another turn of its loop.
        await Promise.resolve();
        tidy(cpu, arena, task);
      },
      ...others.map((act) =>
        act === 'fresh'
          ? async (cpu: Cpu, me: number, { handle }: Shared) => {
              const arena = open(cpu, me);
              const held = await make(arena, handle).acquireAsync();
              // It has the lock for a while.
              lookAtAll(cpu);
              use(held);
              tellRound(cpu, arena.thread.slot);
            }
          : (cpu: Cpu, me: number, { handle }: Shared) => {
              const arena = open(cpu, me);
              bodies[act](cpu, arena, handle);
              tellRound(cpu, arena.thread.slot);
            },
      ),
    ],
    reaper(cpu, died, shared, me, inherited) {
      const { thread } = shared.arenas[me] as Arena;
      cpu.store(thread.slot + Slot.life, LIFE + me);
      const dead = [died, ...inherited];
      reapAll(shared, dead, me);
      tellRound(cpu, thread.slot);
      const arena = open(cpu, me);
      useInTime(make(arena, shared.handle));
      if (!dead.includes(OWNER)) return;
      // The next thread in the owner's slot has its chunks, and gives back what it does not need.
      const slot = (shared.arenas[OWNER] as Arena).thread;
      cpu.store(slot.slot + Slot.life, LIFE + OWNER);
      const store = new TaskStore(cpu, slot.slot, slot.id);
      for (let turn = 0; turn < 2; turn++) store.tidy(arena.heap);
      cpu.store(slot.slot + Slot.life, 0);
    },
    stalled: (_cpu, died, shared, me) => reapOnce(shared, died, me),
    check(memory, { handle, arenas, standing }) {
      if (memory.died.length > 0) inspect(memory);
      const cpu = snapshot(memory, WORDS);
      const heap = new Heap(cpu, 1);
      let chunks = 0;
      for (const { thread } of arenas) {
        const mine = new Set(retiredChunks(cpu, thread.slot));
        for (let chunk = cpu.read(thread.slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) mine.add(chunk);
        for (const chunk of mine) {
          if (!heap.isBlock(cpu.read(chunk + Chunk.block))) throw new Error('a chunk is freed');
        }
        chunks += mine.size;
      }
      const { blocks } = heap.use();
      if (blocks !== chunks + standing) throw new Error(`${blocks} blocks for ${chunks} chunks and ${standing} others`);
      const arena = new Arena(new Place(cpu, threads + deaths - 1, { spins: 1 }));
      const problems = [...arena.fsck(), ...arena.waits().map((each) => JSON.stringify(each))];
      if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
      useInTime(make(arena, handle), { timeout: 0 });
    },
  };
  return program as unknown as Program;
}
