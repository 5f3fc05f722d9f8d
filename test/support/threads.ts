import { getEnvironmentData, type Worker } from 'node:worker_threads';
import { spawnWorker } from '../../lib/arena/spawn.ts';
import type { Arena } from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { Header } from '../../lib/memory/header.ts';
import { maxThreads, Slot, slotAddress, threadOf } from '../../lib/sched/slot.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { WaitList } from '../../lib/sched/wait-list.ts';

export interface Running<Result> {
  readonly worker: Worker;
  /** What the function returned; rejects when the worker fails or ends before. */
  readonly result: Promise<Result>;
  /**
   * Resolves when the worker has ended, however it did, and its arena's reaper has been told. It may not be done by then:
   * where other threads sleep in the arena, one of them may be the reaper just now.
   */
  readonly exited: Promise<void>;
  /** Resolves when a reaper has done all that the worker's end asks for. */
  reaped(): Promise<void>;
}

/**
 * Runs the exported function `name` of `module` on a thread of its own, attached to `arena` and watched. A function that
 * throws is not to be terminated as well: Node, with all its threads, dies of a thread that is terminated at the moment
 * at which its error is found to be caught by nobody.
 */
export function inThread<Result = unknown>(
  arena: Arena,
  module: string,
  name: string,
  ...args: unknown[]
): Running<Result> {
  const worker = spawnWorker(new URL(getEnvironmentData('holdfast:test/thread') as string), {
    name,
    workerData: { arena: arena.handle, module, name, args },
  });
  arena.watch(worker);
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const result = new Promise<Result>((resolve, reject) => {
    worker.once('message', (message: { result: Result }) => resolve(message.result));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with code ${code}`)));
  });
  result.catch(() => {});
  const life = worker.threadId + 1;
  // Not the arena: the worker's listeners would keep it.
  const { cpu } = arena;
  const reaped = async () => {
    await exited;
    while (lives(cpu).includes(life)) await new Promise((resolve) => setImmediate(resolve));
  };
  return { worker, result, exited, reaped };
}

/** The threadIds, plus one, of those that have a slot, dead or alive. */
function lives(cpu: Cpu): number[] {
  return Array.from({ length: maxThreads(cpu) }, (_, number) =>
    threadOf(Math.abs(cpu.load(slotAddress(cpu, number) + Slot.life))),
  );
}

/** Waits, on the event loop, until the word holds the value. */
export async function until(arena: Arena, word: number, value: number): Promise<void> {
  for (;;) {
    const seen = Atomics.load(arena.words, word);
    if (seen === value) return;
    await Atomics.waitAsync(arena.words, word, seen, 20).value;
  }
}

/**
 * Until exactly `count` synchronous calls sleep, for the object at `address` if one is given. They have left their
 * queue's latch: a call that has just joined still makes an attempt, and may get a lock that is let go just then.
 */
export async function asleep(arena: Arena, count: number, address?: number): Promise<void> {
  const { cpu } = arena;
  const tasks = Array.from({ length: maxThreads(cpu) }, (_, number) => slotAddress(cpu, number) + Slot.mainTask);
  const sleeps = (task: number) => {
    const object = cpu.load(task + Task.blockedOn);
    if (object === 0 || (address !== undefined && object !== address)) return false;
    const list = cpu.load(task + Task.list);
    return cpu.load(task + Task.state) === SLEEPING && isFree(cpu, list);
  };
  while (tasks.filter(sleeps).length !== count) await new Promise((resolve) => setImmediate(resolve));
}

/** The latch of a wait list, or with 0 that of the rt-mutexes. */
function isFree(cpu: Cpu, list: number): boolean {
  return cpu.load(list === 0 ? Header.priorityLatch : list + WaitList.latch) === 0;
}

/** The error that `call` throws. */
export function thrown(call: () => unknown): Error & { code?: string } {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** Takes all memory that the arena has left. Returns the blocks. */
export function exhaust(arena: Arena): number[] {
  const blocks: number[] = [];
  for (let { largestFree } = arena.use(); largestFree > 0; { largestFree } = arena.use()) {
    blocks.push(arena.alloc(largestFree / 4));
  }
  return blocks;
}
