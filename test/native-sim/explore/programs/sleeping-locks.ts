/** The sleeping locks that several can hold, as programs to explore: threads that read and write, and may die. */
import { Completion } from '../../../../lib/locking/completion.ts';
import type { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore.ts';
import { Semaphore } from '../../../../lib/locking/semaphore.ts';
import { WaitQueue } from '../../../../lib/locking/wait-queue.ts';
import { EXCLUSIVE, waitUntil, wakeUp } from '../../../../lib/locking/wait-queue-core.ts';
import { block } from '../../../../lib/sched/drive.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { type Body, onObject } from './on-object.ts';

export type Act = 'read' | 'write' | 'downgrade' | 'twice';

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
  return onObject((arena) => new Lock(arena), bodies, spins);
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
  return onObject((arena) => new Semaphore(arena), bodies, spins);
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
  return onObject((arena) => new Completion(arena), [waiter, completer], spins);
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
  return onObject((arena) => new WaitQueue(arena), [waiter, waker], spins);
}
