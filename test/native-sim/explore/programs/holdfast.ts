/** The locks of lib/ themselves, as programs to explore: an arena in simulated memory, with one CPU for each thread. */

import { Arena, format } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import { reap, reapInSlices } from '../../../../lib/arena/reaper.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { MCS_NODES, McsLock, McsNodes } from '../../../../lib/locking/mcs-lock.ts';
import { Mutex } from '../../../../lib/locking/mutex.ts';
import { OsqNodes, osqLock, osqUnlock } from '../../../../lib/locking/osq.ts';
import { OsqLock } from '../../../../lib/locking/osq-lock.ts';
import { SpinLock } from '../../../../lib/locking/spin-lock.ts';
import { SpinNode, SpinNodes } from '../../../../lib/locking/spin-queue.ts';
import { TICKET_ENTRIES, TicketEntry, TicketLock, Tickets } from '../../../../lib/locking/ticket-lock.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { RealCpu } from '../../../../lib/machine/real.ts';
import { Header } from '../../../../lib/memory/header.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import { defineKind } from '../../../../lib/memory/kinds.ts';
import { inheritLatch, latch, unlatch } from '../../../../lib/memory/latch.ts';
import { ObjectHeader } from '../../../../lib/memory/objects.ts';
import { pvWait } from '../../../../lib/sched/schedule.ts';
import { isDead, markDead, Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { finishPark, prepareToPark, Task, unpark } from '../../../../lib/sched/task.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';

const WORDS = 4096;
const LIFE = 1;

export interface View {
  arenas: Arena[];
  /** Words of the program's own, next to the arena's. */
  shared: number;
}

interface Lock {
  lock(): void;
  unlock(): void;
  readonly ownerDied: boolean;
  makeConsistent(): void;
}

/** An arena with a CPU for each thread and one for each reaper, whose waiters spin for `spins` loads. */
export function makeArenas(cpu: Cpu, threads: number, spins: number, words = WORDS, reapers = 1): View {
  format(cpu, words, threads + reapers, 7);
  const arenas = Array.from({ length: threads + reapers }, (_, number) => new Arena(new Place(cpu, number, { spins })));
  for (const { thread } of arenas) cpu.store(thread.slot + Slot.life, LIFE + thread.number);
  return { arenas, shared: words };
}

/**
 * What the library does when it is told that a thread has died. Where the reaper has to wait for a thread that waits for
 * the dead one, only a reaper that gives up after `settleSpins` loads, and comes again, gets on: all real ones do.
 */
export function reapDead({ arenas }: View, died: number, settleSpins = Number.POSITIVE_INFINITY): void {
  const reaper = arenas[arenas.length - 1]!;
  const { cpu } = reaper;
  const dead = arenas[died]!.thread;
  markDead(cpu, dead.slot + Slot.life, LIFE + died);
  const isDead = (id: number) => id === dead.id;
  while (reap(reaper, isDead, { settleSpins }) === 'again') cpu.relax();
}

/**
 * `reapDead` where there may be several deaths: by thread `me`, of all who are dead by then. `died`: those that it marks. It
 * never waits without bound: a pass knows nothing of who dies after it began.
 */
export function reapAll({ arenas }: Pick<View, 'arenas'>, died: readonly number[], me: number, settleSpins = 1): void {
  const reaper = arenas[me]!;
  const { cpu } = reaper;
  for (const number of died) markDead(cpu, slotAddress(cpu, number) + Slot.life, LIFE + number);
  while (reap(reaper, (id) => isDead(cpu, id), { settleSpins }) === 'again') cpu.relax();
}

/** `reapAll` by a thread with an event loop: others may make passes of their own between its slices. */
export function reapSliced({ arenas }: Pick<View, 'arenas'>, died: readonly number[], me: number): void {
  const reaper = arenas[me]!;
  const { cpu } = reaper;
  for (const number of died) markDead(cpu, slotAddress(cpu, number) + Slot.life, LIFE + number);
  for (;;) {
    const slices = reapInSlices(reaper, (id) => isDead(cpu, id));
    let slice = slices.next();
    while (!slice.done) {
      // Others wait for what it would latch again.
      if (slice.value) cpu.relax();
      slice = slices.next();
    }
    if (slice.value !== 'again') return;
    cpu.relax();
  }
}

/** The reaper of a program with `deaths`: alone it waits for live threads as long as `settleSpins` says. */
export function reapFor(
  view: View,
  died: number,
  me: number,
  inherited: readonly number[],
  deaths: number,
  settleSpins?: number,
): void {
  if (deaths === 1) reapDead(view, died, settleSpins);
  else reapAll(view, [died, ...inherited], me, settleSpins);
}

/** What thread `me` does that sleeps, and notices that `died` is dead. Returns whether nothing is left to be done. */
export function reapOnce({ arenas }: Pick<View, 'arenas'>, died: number, me: number): boolean {
  const reaper = arenas[me]!;
  const { cpu } = reaper;
  markDead(cpu, slotAddress(cpu, died) + Slot.life, LIFE + died);
  return reap(reaper, (id) => isDead(cpu, id), { settleSpins: 1 }) === 'done';
}

/** Names for the words of the arena, so that a failure can be read: `t0.mcs1.next`. */
function labelsOf(threads: number): Record<string, number> {
  const memory = new Int32Array(WORDS);
  const cpu = new RealCpu(memory);
  format(cpu, WORDS, threads, 7);
  const labels: Record<string, number> = { shared: WORDS };
  const add = (prefix: string, base: number, layout: Record<string, number>) => {
    for (const [field, offset] of Object.entries(layout))
      if (field !== 'words') labels[`${prefix}${field}`] ??= base + offset;
  };
  add('', 0, Header);
  for (let t = 0; t < threads; t++) {
    const slot = slotAddress(cpu, t);
    add(`t${t}.`, slot, Slot);
    add(`t${t}.task.`, slot + Slot.mainTask, Task);
    for (let i = 0; i < MCS_NODES; i++) add(`t${t}.mcs${i}.`, slot + McsNodes.waiters + i * SpinNode.words, SpinNode);
    for (let i = 0; i < MCS_NODES; i++) add(`t${t}.proxy${i}.`, slot + McsNodes.proxies + i * SpinNode.words, SpinNode);
    add(`t${t}.spin.`, slot + SpinNodes.waiter, SpinNode);
    add(`t${t}.spinProxy.`, slot + SpinNodes.proxy, SpinNode);
    for (let i = 0; i < TICKET_ENTRIES; i++)
      add(`t${t}.ticket${i}.`, slot + Tickets.entries + i * TicketEntry.words, TicketEntry);
    add(`t${t}.osq.`, slot + OsqNodes.own, SpinNode);
  }
  const heap = cpu.read(Header.heap);
  for (let i = 0; i < 32; i++) labels[`lock+${i}`] = heap + i;
  return labels;
}

/** Each thread takes the lock once, and counts. */
function exclusion(
  threads: number,
  spins: number,
  make: (arena: Arena, handle?: ObjectHandle) => Lock & { readonly handle: ObjectHandle },
): Program {
  const program: Program<View & { locks: Lock[] }> = {
    words: WORDS + 1,
    labels: labelsOf(threads + 1),
    setup(cpu) {
      const view = makeArenas(cpu, threads, spins);
      const first = make(view.arenas[0]!);
      const locks = view.arenas.map((arena, i) => (i === 0 ? first : make(arena, first.handle)));
      return { ...view, locks };
    },
    threads: Array.from(
      { length: threads },
      () =>
        (cpu: Cpu, me: number, { locks, shared }: View & { locks: Lock[] }) => {
          locks[me]!.lock();
          if (locks[me]!.ownerDied) locks[me]!.makeConsistent();
          cpu.write(shared, cpu.read(shared) + 1);
          locks[me]!.unlock();
        },
    ),
    alike: [Array.from({ length: threads }, (_, t) => t)],
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
  return program as unknown as Program;
}

const MAKERS = {
  ticket: (threads: number, spins: number) =>
    exclusion(threads, spins, (arena, handle) => new TicketLock(arena, handle)),
  mcs: (threads: number, spins: number) => exclusion(threads, spins, (arena, handle) => new McsLock(arena, handle)),
  qspinlock: (threads: number, spins: number) =>
    exclusion(threads, spins, (arena, handle) => new SpinLock(arena, handle)),
  mutex: (threads: number, spins: number) => exclusion(threads, spins, (arena, handle) => new Mutex(arena, handle)),
  osq: osqExclusion,
  latch: latchExclusion,
};

export type LockName = keyof typeof MAKERS;
export const LOCK_NAMES = Object.keys(MAKERS) as LockName[];

/** A lock by name, for a command line or a worker: `lock mutex 2 Infinity`. */
export function lock(name: LockName, threads: number, spins: number): Program {
  return MAKERS[name](threads, spins);
}

/** The queue of optimistic spinners: whoever gets to its head counts; with few `spins` some give up. */
function osqExclusion(threads: number, spins: number): Program {
  const program: Program<View & { tail: number }> = {
    words: WORDS + 1,
    labels: labelsOf(threads + 1),
    setup(cpu) {
      const view = makeArenas(cpu, threads, spins);
      return { ...view, tail: tailOf(new OsqLock(view.arenas[0]!).address) };
    },
    threads: Array.from(
      { length: threads },
      () =>
        (cpu: Cpu, me: number, { arenas, tail, shared }: View & { tail: number }) => {
          const { thread } = arenas[me]!;
          if (!osqLock(thread, tail)) return;
          cpu.write(shared, cpu.read(shared) + 1);
          osqUnlock(thread, tail);
        },
    ),
    alike: [Array.from({ length: threads }, (_, t) => t)],
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
  return program as unknown as Program;
}

/** An OsqLock is its tail behind an object header. */
const tailOf = (lock: number) => lock + ObjectHeader.words;

/** The latch inside the other objects. A dead holder's latch passes to the reaper. */
function latchExclusion(threads: number): Program {
  const [word, shared] = [0, 1];
  return {
    words: 2,
    labels: { latch: word, shared },
    threads: Array.from({ length: threads }, () => (cpu: Cpu, me: number) => {
      latch(cpu, word, me + 1);
      cpu.write(shared, cpu.read(shared) + 1);
      unlatch(cpu, word);
    }),
    alike: [Array.from({ length: threads }, (_, t) => t)],
    reaper(cpu, died) {
      if (inheritLatch(cpu, word, died + 1, threads + 1)) unlatch(cpu, word);
      // It may have died after it had let the latch go, and before it woke the next.
      else cpu.wake(word, Number.POSITIVE_INFINITY);
    },
  };
}

/** A task that sleeps until a condition holds, and two that make it hold. */
export function parkUnpark(): Program {
  const [task, condition] = [0, Task.words];
  const waker = (cpu: Cpu) => {
    cpu.fetchAddRelaxed(condition, 1);
    unpark(cpu, task);
  };
  return {
    words: Task.words + 1,
    labels: { 'task.state': task + Task.state, condition },
    threads: [
      (cpu) => {
        for (;;) {
          prepareToPark(cpu, task);
          if (cpu.load(condition) === 2) break;
          pvWait(cpu, task);
        }
        finishPark(cpu, task);
      },
      waker,
      waker,
    ],
  };
}

/** The memory that an execution leaves, for the library's own code to look at. */
export function snapshot(memory: FinalMemory, words = WORDS): RealCpu {
  const copy = new Int32Array(words);
  for (let address = 0; address < words; address++) copy[address] = memory.read(address);
  return new RealCpu(copy);
}

/** Two threads allocate a block, write to it and free it; the heap must end as it began. */
export function allocations(): Program {
  const program: Program<View> = {
    words: WORDS + 1,
    labels: labelsOf(3),
    setup: (cpu) => makeArenas(cpu, 2, 1),
    threads: [0, 1].map((me) => (cpu: Cpu, _me: number, { arenas }: View) => {
      const { heap, thread } = arenas[me]!;
      const block = heap.alloc(20, thread.nascent);
      cpu.write(block, me);
      if (cpu.read(block) !== me) throw new Error(`the block at ${block} is shared`);
      heap.free(block, thread.nascent);
    }),
    reaper: (_cpu, died, view) => reapDead(view, died),
    check(memory) {
      const { blocks, free, bytes, largestFree } = new Heap(snapshot(memory), 1).use();
      if (blocks !== 0 || free !== bytes || largestFree !== bytes) throw new Error(`${blocks} blocks are lost`);
    },
  };
  return program as unknown as Program;
}

const NAMED = defineKind({
  name: 'explored-object',
  words: ObjectHeader.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair: () => true,
});

/** Two threads open an object by the same name. */
export function namings(): Program {
  const program: Program<View> = {
    words: WORDS + 1,
    labels: labelsOf(3),
    setup: (cpu) => makeArenas(cpu, 2, 1),
    threads: [0, 1].map((me) => (_cpu: Cpu, _me: number, { arenas }: View) => {
      arenas[me]!.objects.open(NAMED, 'a');
    }),
    reaper: (_cpu, died, view) => reapDead(view, died),
    check(memory) {
      const objects = new Heap(snapshot(memory), 1).objects();
      const { blocks } = new Heap(snapshot(memory), 1).use();
      if (objects.length !== 1 || blocks !== 1) throw new Error(`${objects.length} objects in ${blocks} blocks`);
    },
  };
  return program as unknown as Program;
}
