/**
 * The rescuer: the thread that runs the items of `memReclaim` queues where no worker can be had for them. `rescuer_thread`.
 *
 * There is one for all such queues of an arena, where the kernel has one for each: a thread takes 9 to 13 MB. It takes items
 * of one pool_workqueue after the other, some of each in turn, in the order of the pool's worklist, and only while the pool has no
 * worker for them. It keeps no slot.
 *
 *   kthreadd (`tick`)                          rescuer
 *   pwq.mayday := 1                            its task := SLEEPING         full
 *   the rescuer's task: wake it      full      mayday of any pwq? then run its items
 *
 * `mayday` stays until the rescuer finds nothing to do there. So nothing is forgotten when one of the two dies: the rescuer that comes
 * next looks at all of them, and the timer of a pool in need fires again.
 */
import type { Arena } from '../arena/arena.ts';
import { kthreadRun } from '../arena/kthread.ts';
import { defineKthread, type KthreadSelf, SYSTEM } from '../arena/kthreadd.ts';
import type { Cpu } from '../machine/cpu.ts';
import { watching } from '../sched/contention.ts';
import { scheduleAsync } from '../sched/schedule.ts';
import { finishPark, prepareToPark, unpark } from '../sched/task.ts';
import { Item, Pwq, Root, Wq } from './layout.ts';
import { openRoot } from './objects.ts';
import { MEM_RECLAIM } from './options.ts';
import type { WorkerPool } from './pool.ts';
import { attachRescuer, rescue } from './pool-care.ts';
import { poolView, RESCUER_NAME } from './pools.ts';
import { pwqsOf } from './pwqs.ts';
import { readQueues } from './queues.ts';
import { Runner } from './runner.ts';
import { beNice, nextTurn } from './thread.ts';

const RESCUER = 'rescuer';
/** Items of one pool_workqueue, one after the other, until another has its turn: the kernel's RESCUER_BATCH. */
const BATCH = 16;
/** The kernel's RESCUER_NICE_LEVEL. */
const NICE = -20;

/** Asks for the rescuer's thread, so that it is there before it is needed. Throws ENOMEM. `init_rescuer`. */
export function requestRescuer(arena: Arena): void {
  kthreadRun(arena, SYSTEM, RESCUER, RESCUER_NAME, { thread: true });
}

/** The pool_workqueues that the rescuer is called to: they stay until it has found nothing to do there. Pairs with `callRescuer`. */
export function calls(cpu: Cpu, queues: readonly number[]): number[] {
  const reclaiming = queues.filter((wq) => (cpu.read(wq + Wq.flags) & MEM_RECLAIM) !== 0);
  return reclaiming.flatMap((wq) => pwqsOf(cpu, wq)).filter((pwq) => cpu.load(pwq + Pwq.mayday) !== 0);
}

class Rescuer {
  readonly #arena: Arena;
  readonly #signal: AbortSignal;
  readonly #task: number;
  readonly #runner: Runner;
  readonly #mostAwaited: number;
  readonly #pools = new Set<WorkerPool>();

  constructor(arena: Arena, signal: AbortSignal) {
    this.#arena = arena;
    this.#signal = signal;
    this.#task = arena.thread.takeTask(arena.heap);
    this.#runner = new Runner(arena, (item) => this.#settled(item));
    this.#mostAwaited = openRoot(arena).maxAwaited;
  }

  async serve(): Promise<void> {
    const { cpu, thread } = this.#arena;
    const word = openRoot(this.#arena).address + Root.rescuer;
    const wake = () => unpark(cpu, this.#task);
    this.#signal.addEventListener('abort', wake);
    cpu.store(word, this.#task);
    while (!this.#signal.aborted) {
      // Pairs with the wake-ups of `tick` and of `Submitter.abandon`: see the picture above.
      prepareToPark(cpu, this.#task);
      this.#runner.tellAborts();
      const pwqs = this.#isFull() ? [] : readQueues(this.#arena, (queues) => calls(cpu, queues), true);
      if (pwqs.length === 0) {
        await scheduleAsync(thread, { task: this.#task, deadline: Number.POSITIVE_INFINITY });
        continue;
      }
      finishPark(cpu, this.#task);
      watching(thread);
      for (const pwq of pwqs) await this.#rescue(pwq);
    }
    cpu.store(word, 0);
    thread.returnTask(this.#task);
  }

  /** It takes no further item until one that it awaits is over. */
  #isFull(): boolean {
    return this.#runner.awaited >= this.#mostAwaited;
  }

  /** Runs items of that pool_workqueue: all that have no worker, or as many as one batch has. */
  async #rescue(pwq: number): Promise<void> {
    const runner = this.#runner;
    const pool = this.#poolOf(pwq);
    let finished = 0;
    for (let n = 0; n < BATCH && !this.#isFull(); n++) {
      const item = rescue(pool, pwq, finished);
      finished = 0;
      if (item === 0) return;
      const run = runner.known(item) ?? (await runner.find(item));
      finished = run === undefined ? item : runner.call(item, run);
      // What functions have left on the event loop goes on, and so does whoever waits for this thread.
      await nextTurn();
    }
    if (finished !== 0) pool.settle(finished);
  }

  #poolOf(pwq: number): WorkerPool {
    const pool = poolView(this.#arena, this.#arena.cpu.read(pwq + Pwq.pool));
    if (!this.#pools.has(pool)) attachRescuer(pool, this.#task);
    this.#pools.add(pool);
    return pool;
  }

  #settled(item: number): void {
    const { cpu } = this.#arena;
    this.#poolOf(cpu.load(item + Item.pwq)).settle(item);
    unpark(cpu, this.#task);
  }
}

defineKthread<Arena>(RESCUER, (arena: Arena, { signal }: KthreadSelf) => {
  beNice(NICE);
  return new Rescuer(arena, signal).serve();
});
