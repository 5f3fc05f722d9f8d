/** The sleeping locks that several can hold, as programs to explore: threads that read and write, and may die. */
import { Completion } from '../../../../lib/locking/completion.ts';
import type { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore.ts';
import { Semaphore } from '../../../../lib/locking/semaphore.ts';
import { WaitQueue } from '../../../../lib/locking/wait-queue.ts';
import { EXCLUSIVE, waitUntil, wakeUp } from '../../../../lib/locking/wait-queue-core.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Arena } from '../../../../lib/sched/arena.ts';
import { block } from '../../../../lib/sched/drive.ts';
import type { ObjectHandle } from '../../../../lib/sched/shared-object.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

/** Words of the simulated memory behind the arena. */
const MORE = 2;

export type Act = 'read' | 'write' | 'downgrade' | 'twice';

type Shared = View & { handle: ObjectHandle };

/** What thread `me` does, with its view of the object; `cell` is a word that the lock protects. */
type Body = (cpu: Cpu, me: number, arena: Arena, handle: ObjectHandle, cell: number) => void;

function program(make: (arena: Arena) => { readonly handle: ObjectHandle }, bodies: Body[], spins: number): Program {
  const threads = bodies.length;
  const whole: Program<Shared> = {
    words: 4096 + MORE,
    setup(cpu) {
      const view = makeArenas(cpu, threads, spins);
      return { ...view, handle: make(view.arenas[0]!).handle };
    },
    threads: bodies.map((body) => (cpu: Cpu, me: number, { arenas, handle, shared }: Shared) => {
      body(cpu, me, arenas[me]!, handle, shared);
    }),
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
  return whole as unknown as Program;
}

/** Readers and writers of one word. */
export function readersAndWriters(
  Lock: typeof RwSemaphore | typeof PercpuRwSemaphore,
  acts: readonly Act[],
  spins: number,
): Program {
  const bodies = acts.map(
    (act): Body =>
      (cpu, _me, arena, handle, cell) => {
        const lock = Lock.from(arena, handle);
        if (act === 'read' || act === 'twice') {
          lock.downRead();
          if (act === 'twice') lock.downRead();
          cpu.read(cell);
          lock.upRead();
          if (act === 'twice') {
            cpu.read(cell);
            lock.upRead();
          }
          return;
        }
        lock.downWrite();
        if (lock.ownerDied) lock.makeConsistent();
        cpu.write(cell, cpu.read(cell) + 1);
        if (act === 'downgrade' && lock instanceof RwSemaphore) {
          lock.downgradeWrite();
          cpu.read(cell);
          lock.upRead();
        } else {
          lock.upWrite();
        }
      },
  );
  return program((arena) => new Lock(arena), bodies, spins);
}

/** Each thread takes the one permit, with a guard or without, and counts. */
export function permits(guards: readonly boolean[], spins: number): Program {
  const bodies = guards.map(
    (guard): Body =>
      (cpu, _me, arena, handle, cell) => {
        const semaphore = Semaphore.from(arena, handle);
        const held = guard ? semaphore.acquire() : undefined;
        if (held === undefined) semaphore.down();
        cpu.write(cell, cpu.read(cell) + 1);
        if (held === undefined) semaphore.up();
        else held.release();
      },
  );
  return program((arena) => new Semaphore(arena), bodies, spins);
}

/** One thread completes what the other waits for. */
export function completion(spins: number): Program {
  const waiter: Body = (cpu, _me, arena, handle, cell) => {
    Completion.from(arena, handle).wait();
    if (cpu.read(cell) !== 1) throw new Error('the wait was over before the completion');
  };
  const completer: Body = (cpu, _me, arena, handle, cell) => {
    cpu.write(cell, 1);
    Completion.from(arena, handle).complete();
  };
  return program((arena) => new Completion(arena), [waiter, completer], spins);
}

/** A waiter, and one that makes its condition hold. */
export function waitQueue(spins: number): Program {
  const waiter: Body = (cpu, _me, arena, handle, cell) => {
    const condition = () => cpu.loadAcquire(cell + 1) === 1;
    block(arena.thread, undefined, (one) => waitUntil(handle.address, EXCLUSIVE, condition, one));
    if (cpu.read(cell) !== 1) throw new Error('the wait was over before the condition held');
  };
  const waker: Body = (cpu, _me, arena, handle, cell) => {
    cpu.write(cell, 1);
    cpu.storeRelease(cell + 1, 1);
    wakeUp(arena.thread, handle.address, 1);
  };
  return program((arena) => new WaitQueue(arena), [waiter, waker], spins);
}
