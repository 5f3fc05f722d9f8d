/** The locks of lib/ themselves, as programs to explore: an arena in simulated memory, with one CPU for each thread. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Header } from '../../../../lib/memory/header.ts';
import { Arena, format, markDead } from '../../../../lib/sched/arena.ts';
import { reap } from '../../../../lib/sched/reaper.ts';
import type { ObjectHandle } from '../../../../lib/sched/shared-object.ts';
import { Slot } from '../../../../lib/sched/thread.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

const WORDS = 4096;
const LIFE = 1;

export interface View {
  arenas: Arena[];
  /** Words of the program's own, next to the arena's. */
  shared: number;
}

interface Lock {
  lock(): unknown;
  unlock(): void;
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

/** Each thread takes the lock `rounds` times, and counts; `lock` may fail by returning false. */
export function exclusion(
  threads: number,
  spins: number,
  make: (arena: Arena, handle?: ObjectHandle) => Lock & { readonly handle: ObjectHandle },
): Program<View & { locks: Lock[] }> {
  return {
    words: WORDS + 1,
    labels: { shared: WORDS, deaths: Header.deaths },
    setup(cpu) {
      const view = makeArenas(cpu, threads, spins);
      const first = make(view.arenas[0]!);
      const locks = view.arenas.map((arena, i) => (i === 0 ? first : make(arena, first.handle)));
      return { ...view, locks };
    },
    threads: Array.from({ length: threads }, () => (cpu: Cpu, me: number, { arenas, locks, shared }: View & { locks: Lock[] }) => {
      // A replay starts from nothing, also in what a thread keeps outside shared memory.
      arenas[me]!.thread.qspinDepth = 0;
      if (locks[me]!.lock() === false) return;
      cpu.write(shared, cpu.read(shared) + 1);
      locks[me]!.unlock();
    }),
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
}
