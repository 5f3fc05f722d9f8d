/** The locks of lib/ themselves, as programs to explore: an arena in simulated memory, with one CPU for each thread. */

import { osqLock, osqUnlock } from '../../../../lib/locking/osq.ts';
import { OsqLock } from '../../../../lib/locking/osq-lock.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { RealCpu } from '../../../../lib/machine/real.ts';
import { Header } from '../../../../lib/memory/header.ts';
import { ObjectHeader } from '../../../../lib/memory/objects.ts';
import { Arena, format, markDead } from '../../../../lib/sched/arena.ts';
import { reap } from '../../../../lib/sched/reaper.ts';
import type { ObjectHandle } from '../../../../lib/sched/shared-object.ts';
import { Task } from '../../../../lib/sched/task.ts';
import {
  MCS_NODES,
  QSPIN_NODES,
  Slot,
  SpinNode,
  slotAddress,
  TICKET_ENTRIES,
  TicketEntry,
} from '../../../../lib/sched/thread.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

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

/** An arena with a CPU for each thread and one for the reaper, whose waiters spin for `spins` loads. */
export function makeArenas(cpu: Cpu, threads: number, spins: number): View {
  format(cpu, WORDS, threads + 1, 7);
  const arenas = Array.from({ length: threads + 1 }, (_, number) => new Arena(cpu, number, { spins }));
  for (const { thread } of arenas) cpu.store(thread.slot + Slot.life, LIFE + thread.number);
  return { arenas, shared: WORDS };
}

/** What the library does when it is told that a thread has died. */
export function reapDead({ arenas }: View, died: number): void {
  const { cpu, thread, heap, objects } = arenas[arenas.length - 1]!;
  const dead = arenas[died]!.thread;
  markDead(cpu, dead.slot + Slot.life, LIFE + died);
  const isDead = (id: number) => id === dead.id;
  while (reap(thread, heap, objects, isDead, Number.POSITIVE_INFINITY) === 'again') cpu.relax();
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
    for (let i = 0; i < MCS_NODES; i++) add(`t${t}.mcs${i}.`, slot + Slot.mcsNodes + i * SpinNode.words, SpinNode);
    for (let i = 0; i < MCS_NODES; i++) add(`t${t}.proxy${i}.`, slot + Slot.mcsProxies + i * SpinNode.words, SpinNode);
    for (let i = 0; i < QSPIN_NODES; i++) add(`t${t}.spin${i}.`, slot + Slot.qspinNodes + i * SpinNode.words, SpinNode);
    for (let i = 0; i < TICKET_ENTRIES; i++)
      add(`t${t}.ticket${i}.`, slot + Slot.tickets + i * TicketEntry.words, TicketEntry);
    add(`t${t}.osq.`, slot + Slot.osqNode, SpinNode);
  }
  const heap = cpu.read(Header.heap);
  for (let i = 0; i < 32; i++) labels[`lock+${i}`] = heap + i;
  return labels;
}

/** Each thread takes the lock once, and counts. */
export function exclusion(
  threads: number,
  spins: number,
  make: (arena: Arena, handle?: ObjectHandle) => Lock & { readonly handle: ObjectHandle },
): Program<View & { locks: Lock[] }> {
  return {
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
        (cpu: Cpu, me: number, { arenas, locks, shared }: View & { locks: Lock[] }) => {
          // A replay starts from nothing, also in what a thread keeps outside shared memory.
          arenas[me]!.thread.qspinDepth = 0;
          locks[me]!.lock();
          if (locks[me]!.ownerDied) locks[me]!.makeConsistent();
          cpu.write(shared, cpu.read(shared) + 1);
          locks[me]!.unlock();
        },
    ),
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
}

/** The queue of optimistic spinners: whoever gets to its head counts; with few `spins` some give up. */
export function osqExclusion(threads: number, spins: number): Program<View & { tail: number }> {
  return {
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
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
}

/** An OsqLock is its tail behind an object header. */
const tailOf = (lock: number) => lock + ObjectHeader.words;
